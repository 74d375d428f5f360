"""The OpenAPI document, with problems under their own media type and with the events of streams."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from appdb import DbEventType, TaskEventType
from appserver.api.schemas.run_events import RunEventView
from appserver.api.schemas.run_streams import (
    BranchNote,
    EndNote,
    PartsNote,
    RollbackNote,
    RunSnapshot,
    RunTaskEventView,
    TasksNote,
)
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
"""The first events of each stream of tasks; the events of logs follow."""
RUN_STREAM = "/api/runs/{run_id}/stream"
OF_RUNS: dict[str, type[BaseModel]] = {
    "snapshot": RunSnapshot,
    "tasks": TasksNote,
    "parts": PartsNote,
    "rollback": RollbackNote,
    "branch": BranchNote,
    "end": EndNote,
    **dict.fromkeys((kind.value for kind in DbEventType), RunEventView),
    **dict.fromkeys((f"task_{kind.value}" for kind in TaskEventType), RunTaskEventView),
}
"""The events of a stream of a run."""
RUN_EXAMPLE = (
    ": ping\n"
    'retry: 1500\nid: 4\nevent: end\ndata: {"run_id":"wf_1","last_seq":4,"status":"completed","resumable":true,'
    '"actions":["retry","jump"]}\n\n'
)


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
    models: set[type[BaseModel]] = {TaskSnapshot, EventView, *OF_RUNS.values()}
    _, defined = models_json_schema(
        [(model, "serialization") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template=REFERENCE,
    )
    document["components"]["schemas"] |= defined["$defs"]
    logged = {kind.value: {"$ref": REFERENCE.format(model="EventView")} for kind in TaskEventType}
    for path, first in STREAMS.items():
        events = {name: {"$ref": REFERENCE.format(model="TaskSnapshot")} for name in first} | logged
        _describe_stream(document, path, STREAM_EXAMPLE, events)
    of_runs = {name: {"$ref": REFERENCE.format(model=model.__name__)} for name, model in OF_RUNS.items()}
    _describe_stream(document, RUN_STREAM, RUN_EXAMPLE, of_runs)


def _describe_stream(document: dict[str, Any], path: str, example: str, events: dict[str, Any]) -> None:
    # OpenAPI 3.1 has no word for the events of a stream.
    stream = {"schema": {"type": "string"}, "example": example, "x-events": events}
    answer = document["paths"][path]["get"]["responses"]["200"]
    answer["description"] = "Server-Sent Events; `x-events` names them, with the JSON of their data."
    answer["content"] = {"text/event-stream": stream}
