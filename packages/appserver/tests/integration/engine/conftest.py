"""Workflows to start, and hands that start runs over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

Start = Callable[..., Awaitable[dict[str, Any]]]


def text_module(name: str, **changes: Any) -> dict[str, Any]:
    """Return a module that asks for a text."""
    return {"id": name, "type": "user.text_input@1", "in": {"title": f"What is the {name}?"}, **changes}


def workflow(*modules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a definition of one step with *modules*."""
    step = {"id": "talk", "title": "Talk", "modules": list(modules)}
    return {"format": 1, "name": "two_questions", "title": "Two questions", "steps": [step], **changes}


@pytest.fixture
def two_questions() -> dict[str, Any]:
    """A workflow that asks two things, and gives both."""
    return workflow(
        text_module("topic", out={"topic": "value"}),
        text_module("mood", **{"in": {"title": "How is {{ state.topic }}?"}}),
        output={"said": "{{ modules.topic.value }}: {{ modules.mood.value }}"},
    )


@pytest.fixture
def start(client: httpx2.AsyncClient, two_questions: dict[str, Any]) -> Start:
    """Start a run, of two questions by default, and return what was answered."""

    async def post(by: httpx2.AsyncClient = client, *, status: int = 201, key: str | None = None, **body: Any) -> Any:
        if not {"definition", "version_id", "template_id"} & body.keys():
            body["definition"] = two_questions
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await by.post("/api/runs", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    return post
