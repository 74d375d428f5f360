"""Large definitions and answers: within the limits of a body, and costly to judge."""

from __future__ import annotations

import json
from typing import Any

from appsupport.workflows.bad_answers import asking


def text(name: str, **inputs: Any) -> dict[str, Any]:
    """Return a module that asks for a text."""
    return {"id": name, "type": "user.text_input@1", "in": {"title": "What?", **inputs}}


def workflow(*modules: dict[str, Any]) -> dict[str, Any]:
    """Return a definition of one step with *modules*."""
    return {"name": "large", "steps": [{"id": "all", "modules": list(modules)}]}


PATTERNS = {f"p{number}": {"type": "string", "pattern": f"[a-z]{{1,{number + 1}}}"} for number in range(20)}
FORM = {"title": "What?", "schema": {"type": "object", "properties": PATTERNS}}
LARGE_DEFINITIONS: dict[str, Any] = {
    "many modules": workflow(*[text(f"m{number}", message="{{ input.x }}" * 9) for number in range(200)]),
    "many references": workflow(text("m", show=["{{ modules.x.y }}"] * 9_000)),
    "one long text": workflow(text("m", show="{{ input.x }}" * 70_000)),
    "many values": workflow(text("m", show=list(range(200_000)))),
    "many schemas": workflow(*[{"id": f"m{number}", "type": "user.form@1", "in": FORM} for number in range(100)]),
    "many unknown fields": workflow(text("m", **{f"f{number}": 1 for number in range(9_000)})),
}
UNIONS = {
    "additionalProperties": False,
    "type": "object",
    "properties": {"list": {"items": {"anyOf": [{"type": "string"}, {"type": "null"}] * 20}}},
}
LARGE_ANSWERS: dict[str, Any] = {
    "many wrong items": {"list": [0] * 100_000},
    "few wrong items": {"list": [0] * 1_500},
    "long text": {"list": ["x" * 900_000]},
    "many fields": {f"f{number}": number for number in range(50_000)},
    "deep": {"list": json.loads("[" * 60 + "]" * 60)},
}
LARGE_QUESTION = asking("user.form@1", {"title": "What?", "schema": UNIONS})
"""A workflow that asks what the large answers are for."""
