"""The OpenAPI document, with problems under their own media type and with the events of streams."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from appdb import TaskEventType
from appserver.api.schemas.streams import EventView, TaskSnapshot
from appserver.http.problems import PROBLEM_JSON, Problem

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request cannot be answered as asked (RFC 9457)."},
    "5XX": {"model": Problem, "description": "This host or its database cannot answer now (RFC 9457)."},
}
REFERENCE = "#/components/schemas/{model}"
STREAM_EXAMPLE = (
    ": ping\n"
    'retry: 1500\nid: 7\nevent: progress\ndata: {"task_id":"tq_1","seq":7,"type":"progress","attempt":1,'
    '"at":"2026-11-30T12:00:00Z","data":{"fraction":0.5,"message":"half"}}\n\n'
)
STREAMS = {"/api/tasks/{task_id}/stream": ["snapshot"], "/api/stream": []}
"""The first events of each stream; the events of logs follow."""


class Application(FastAPI):
    """FastAPI, which by itself would document every model as ``application/json``, and of a stream nothing."""

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                for status in PROBLEMS:
                    content: dict[str, Any] = operation["responses"][str(status)]["content"]
                    if "application/json" in content:
                        content[PROBLEM_JSON] = content.pop("application/json")
        _describe_streams(document)
        return document


def _describe_streams(document: dict[str, Any]) -> None:
    _, defined = models_json_schema(
        [(TaskSnapshot, "serialization"), (EventView, "serialization")], ref_template=REFERENCE
    )
    document["components"]["schemas"] |= defined["$defs"]
    logged = {kind.value: {"$ref": REFERENCE.format(model="EventView")} for kind in TaskEventType}
    for path, first in STREAMS.items():
        events = {name: {"$ref": REFERENCE.format(model="TaskSnapshot")} for name in first} | logged
        # OpenAPI 3.1 has no word for the events of a stream.
        stream = {"schema": {"type": "string"}, "example": STREAM_EXAMPLE, "x-events": events}
        answer = document["paths"][path]["get"]["responses"]["200"]
        answer["description"] = "Server-Sent Events; `x-events` names them, with the JSON of their data."
        answer["content"] = {"text/event-stream": stream}
