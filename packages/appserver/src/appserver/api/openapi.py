"""The OpenAPI document, with problems under their own media type."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from appserver.errors import PROBLEM_JSON, Problem

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request cannot be answered as asked (RFC 9457)."},
    "5XX": {"model": Problem, "description": "This host or its database cannot answer now (RFC 9457)."},
}


class Application(FastAPI):
    """FastAPI, which by itself would document every model as ``application/json``."""

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                for status in PROBLEMS:
                    content: dict[str, Any] = operation["responses"][str(status)]["content"]
                    if "application/json" in content:
                        content[PROBLEM_JSON] = content.pop("application/json")
        return document
