"""Questions become forms, and sent forms become answers."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.datastructures import FormData

from appserver.web.answer_form import FieldForm, ShownQuestion, answer_of, fields_of


def question(schema: dict[str, Any], *, kind: str = "form", **data: Any) -> ShownQuestion:
    return ShownQuestion(
        interaction_id="int_1", module="ask", kind=kind, title="", message="", schema=schema, data=data, actions=()
    )


FORM = {
    "type": "object",
    "properties": {
        "topic": {"type": "string", "title": "Topic", "maxLength": 100},
        "text": {"type": "string", "maxLength": 5_000},
        "tone": {"enum": ["plain", 7]},
        "count": {"type": "integer"},
        "loud": {"type": "boolean"},
        "more": {"type": "array"},
    },
    "required": ["topic"],
}


def test_fields_follow_the_schema() -> None:
    fields = {field.name: field for field in fields_of(question(FORM, values={"topic": "tides", "tone": 7}))}

    assert [field.form for field in fields.values()] == [
        FieldForm.TEXT,
        FieldForm.LINES,
        FieldForm.CHOICE,
        FieldForm.NUMBER,
        FieldForm.CHECK,
        FieldForm.JSON,
    ]
    assert (fields["topic"].label, fields["topic"].value, fields["topic"].required) == ("Topic", "tides", True)
    assert [option.chosen for option in fields["tone"].options] == [False, True]


def test_sent_form_becomes_typed_answer() -> None:
    sent = FormData(
        {"topic": "tides", "text": "a\r\nb", "tone": "7", "count": "3", "loud": "on", "more": "[1]", "other": "x"}
    )

    assert answer_of(question(FORM), sent) == {
        "topic": "tides",
        "text": "a\nb",
        "tone": 7,
        "count": 3,
        "loud": True,
        "more": [1],
    }


def test_empty_fields_are_left_out() -> None:
    assert answer_of(question(FORM), FormData({"topic": "", "count": ""})) == {"loud": False}


def test_picks_are_numbers() -> None:
    asked = question({"type": "object"}, kind="select", labels=["a", "b", "c"], max=2)

    assert answer_of(asked, FormData([("selected", "0"), ("selected", "2"), ("selected", "x")])) == {"selected": [0, 2]}
    assert fields_of(asked)[0].many


def test_way_back_is_an_answer_of_its_own() -> None:
    schema = {"anyOf": [FORM, {"type": "object", "properties": {"go_back": {"const": "ask"}}}]}
    sent = FormData({"go_back": "ask", "feedback": " louder ", "topic": "tides"})

    assert answer_of(question(schema), sent) == {"go_back": "ask", "feedback": "louder"}
    assert [field.name for field in fields_of(question(schema))][:2] == ["topic", "text"]


def test_made_media_are_picked_by_id() -> None:
    schema = {"type": "object", "properties": {"content_ids": {"type": "array"}}}
    asked = question(schema, kind="media")

    assert fields_of(asked) == []
    assert answer_of(asked, FormData([("content_ids", "gc_1"), ("content_ids", "gc_2")])) == {
        "content_ids": ["gc_1", "gc_2"]
    }


def test_schema_without_a_form_takes_json() -> None:
    asked = question({"type": ["object", "null"]})

    assert [field.form for field in fields_of(asked)] == [FieldForm.JSON]
    assert answer_of(asked, FormData({"response": '{"a": 1}'})) == {"a": 1}
    with pytest.raises(ValueError, match="response: it is no JSON"):
        answer_of(asked, FormData({"response": "{"}))


def test_file_is_sent_before_its_answer() -> None:
    schema = {"type": "object", "properties": {"content_id": {"type": "string"}}, "required": ["content_id"]}
    asked = question(schema, kind="file_input", media_types=["image/*", "text/plain"], max_bytes=10)

    (field,) = fields_of(asked)

    assert (field.form, field.value) == (FieldForm.FILE, "image/*,text/plain")
    assert answer_of(asked, FormData([("content_id", "gc_x")])) == {"content_id": "gc_x"}
