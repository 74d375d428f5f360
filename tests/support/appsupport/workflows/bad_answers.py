"""Bad answers to three kinds of questions, each with what does not fit; and bodies that hold no answer."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

Rows: TypeAlias = list[tuple[Any, set[str]]]
"""Answers, each with the JSON Pointers of what does not fit."""


def nested(levels: int) -> Any:
    """Return a text in as many lists."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


SCENE = {
    "type": "object",
    "properties": {"text": {"type": "string", "maxLength": 20}, "seconds": {"type": "number", "exclusiveMinimum": 0}},
    "required": ["text"],
    "additionalProperties": False,
}
FORM = {
    "type": "object",
    "properties": {
        "topic": {"type": "string", "minLength": 2, "maxLength": 40, "pattern": r"^[^\x00-\x1f]*$"},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "tone": {"enum": ["calm", "wild"]},
        "mail": {"type": "string", "format": "email"},
        "link": {"type": ["string", "null"], "pattern": "^https://"},
        "scenes": {"type": "array", "items": SCENE, "minItems": 1, "maxItems": 3, "uniqueItems": True},
        "fine/odd~name": {"type": "boolean"},
        "more": {},
    },
    "required": ["topic", "count"],
    "additionalProperties": False,
}
GOOD = {"topic": "tides", "count": 3}
ONE = [{"text": "sea"}]
FORM_ROWS: Rows = [
    (None, {""}),
    ([], {""}),
    ("tides", {""}),
    (3, {""}),
    (True, {""}),
    ({}, {"/topic", "/count"}),
    ({"topic": "tides"}, {"/count"}),
    ({"topic": None, "count": None}, {"/topic", "/count"}),
    ({"topic": 3, "count": "3"}, {"/topic", "/count"}),
    ({"topic": [], "count": {}}, {"/topic", "/count"}),
    (GOOD | {"topic": "t"}, {"/topic"}),
    (GOOD | {"topic": ""}, {"/topic"}),
    (GOOD | {"topic": "x" * 41}, {"/topic"}),
    (GOOD | {"topic": "a\nb"}, {"/topic"}),
    (GOOD | {"topic": {"$where": "sleep(1000)"}}, {"/topic"}),
    (GOOD | {"topic": {"$ref": "input.x"}}, {"/topic"}),
    (GOOD | {"topic": ["{{ run.id }}"]}, {"/topic"}),
    (GOOD | {"count": 0}, {"/count"}),
    (GOOD | {"count": 10}, {"/count"}),
    (GOOD | {"count": 2.5}, {"/count"}),
    (GOOD | {"count": True}, {"/count"}),
    (GOOD | {"count": "NaN"}, {"/count"}),
    (GOOD | {"count": 1e300}, {"/count"}),
    (GOOD | {"count": -(2**53)}, {"/count"}),
    (GOOD | {"tone": "loud"}, {"/tone"}),
    (GOOD | {"tone": ["calm"]}, {"/tone"}),
    (GOOD | {"tone": None}, {"/tone"}),
    (GOOD | {"mail": "nobody"}, {"/mail"}),
    (GOOD | {"mail": "a@b@c"}, {"/mail"}),
    (GOOD | {"link": "http://x"}, {"/link"}),
    (GOOD | {"link": "javascript:alert(1)"}, {"/link"}),
    (GOOD | {"link": "../../etc/passwd"}, {"/link"}),
    (GOOD | {"link": 3}, {"/link"}),
    (GOOD | {"scenes": {}}, {"/scenes"}),
    (GOOD | {"scenes": []}, {"/scenes"}),
    (GOOD | {"scenes": [{"text": str(number)} for number in range(4)]}, {"/scenes"}),
    (GOOD | {"scenes": [*ONE, *ONE]}, {"/scenes"}),
    (GOOD | {"scenes": [{}]}, {"/scenes/0/text"}),
    (GOOD | {"scenes": [3, "x", None]}, {"/scenes/0", "/scenes/1", "/scenes/2"}),
    (GOOD | {"scenes": [*ONE, {"text": "x" * 21, "seconds": 0}]}, {"/scenes/1/text", "/scenes/1/seconds"}),
    (GOOD | {"scenes": [{"text": "a", "txt": 1}]}, {"/scenes/0"}),
    (GOOD | {"scenes": [{"text": "a", "$set": {"status": "completed"}}]}, {"/scenes/0"}),
    (GOOD | {"fine/odd~name": "yes"}, {"/fine~1odd~0name"}),
    (GOOD | {"unknown": 1}, {""}),
    (GOOD | {"__proto__": {}}, {""}),
    (GOOD | {"$where": "1"}, {""}),
    (GOOD | {"a.b": 1}, {""}),
    (GOOD | {"topic": 1, "tone": 2, "scenes": 3}, {"/topic", "/tone", "/scenes"}),
]
CHOICE = {
    "title": "Which?",
    "items": ["red", "blue", "green"],
    "max": 2,
    "go_back": [{"module": "ask", "label": "Again", "feedback": True}],
}
CHOICE_ROWS: Rows = [
    ({}, {"/selected"}),
    ({"selected": None}, {"/selected"}),
    ({"selected": []}, {"/selected"}),
    ({"selected": 0}, {"/selected"}),
    ({"selected": {"$gt": 0}}, {"/selected"}),
    ({"selected": [0, 0]}, {"/selected"}),
    ({"selected": [0, 1, 2]}, {"/selected"}),
    ({"selected": [3]}, {"/selected/0"}),
    ({"selected": [-1]}, {"/selected/0"}),
    ({"selected": [0, 0.5]}, {"/selected/1"}),
    ({"selected": ["red"]}, {"/selected/0"}),
    ({"selected": [{"$ne": None}]}, {"/selected/0"}),
    ({"selected": [0], "go_back": "ask"}, {""}),
    ({"go_back": "elsewhere"}, {"/selected", ""}),
]
TEXT_ROWS: Rows = [
    ({}, {"/value"}),
    ({"value": 3}, {"/value"}),
    ({"value": ""}, {"/value"}),
    ({"value": "x" * 101}, {"/value"}),
    ({"value": ["x"]}, {"/value"}),
    ({"text": "x"}, {"/value", ""}),
]
TEXT = {"title": "What?", "max_length": 100}
UNREADABLE: list[tuple[bytes, int]] = [
    (b'{"response": ', 400),
    (b'{"response": NaN}', 422),
    (b'{"response": "\\ud800"}', 422),
    (b'{"response": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", 400),
    (json.dumps({"response": nested(70)}).encode(), 422),
    (json.dumps({"response": {"value": "x" * 2_000_000}}).encode(), 413),
    (b'{"answer": {"value": "x"}}', 422),
    (b"[]", 422),
]
"""Bodies that hold no answer, with the status of each."""


def asking(type_: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return a workflow that asks one question."""
    return {"name": "asks", "steps": [{"id": "ask", "modules": [{"id": "ask", "type": type_, "in": inputs}]}]}


QUESTIONS: dict[str, tuple[dict[str, Any], Rows]] = {
    "form": (asking("user.form@1", {"title": "What?", "schema": FORM}), FORM_ROWS),
    "text": (asking("user.text_input@1", TEXT), TEXT_ROWS),
    "choice": (asking("user.select@1", CHOICE), CHOICE_ROWS),
}
"""Workflows of one question, each with its bad answers."""
