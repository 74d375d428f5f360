"""The form of a question: its fields, made from its schema, and the answer that a sent form stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from pydantic import JsonValue
from starlette.datastructures import FormData

from appdb.models import EventSummary
from appserver.modules.user.file_input import KIND as FILE_KIND

LONG_TEXT = 200
"""Texts that may be longer get several lines."""
WHOLE = "response"
"""The field for an answer that no form can be made for: its JSON."""
PICKED = "selected"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownQuestion:
    """An open question, as its page shows it; the fields are those of the module's ``Question``."""

    interaction_id: str
    module: str
    kind: str
    title: str
    message: str
    schema: Mapping[str, Any]
    data: Mapping[str, Any]
    actions: Sequence[str]

    @classmethod
    def of(cls, asked: EventSummary) -> Self:
        """Return the question that the event *asked* asks."""
        told = asked.data
        data = told.get("data")
        return cls(
            interaction_id=told["interaction_id"],
            module=asked.module or "",
            kind=told.get("kind", "form"),
            title=told.get("title", ""),
            message=told.get("message", ""),
            schema=told.get("schema") or {},
            data=data if isinstance(data, Mapping) else {},
            actions=told.get("actions") or (),
        )


class FieldForm(StrEnum):
    """The element that a field is."""

    TEXT = "text"
    LINES = "lines"
    NUMBER = "number"
    CHECK = "check"
    CHOICE = "choice"
    PICKS = "picks"
    """Several of some options, or one of them."""
    JSON = "json"
    FILE = "file"
    """A file, of which the id is sent once the page's script has uploaded it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOption:
    """An option of a field."""

    value: str
    label: str
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerField:
    """A field of a question's form.

    Args:
        name: Its name in the answer.
        label: What people read.
        form: The element.
        value: What it holds at first; of a file, which types are taken.
        options: What there is to choose from.
        required: Whether it must be filled.
        many: Whether several options may be chosen.
    """

    name: str
    label: str
    form: FieldForm
    value: str = ""
    options: tuple[FieldOption, ...] = ()
    required: bool = False
    many: bool = False


def fields_of(question: ShownQuestion) -> list[AnswerField]:
    """Return the fields of a question's form; of one that no form fits, a single field for JSON."""
    data = question.data
    if question.kind == "select":
        return _selection(question, data)
    if question.kind == FILE_KIND:
        return [AnswerField(name="content_id", label="File", form=FieldForm.FILE, value=_accepted(data), required=True)]
    schema = _own_schema(question)
    if schema.get("type") != "object":
        return [AnswerField(name=WHOLE, label="Answer, as JSON", form=FieldForm.JSON, value="{}", required=True)]
    values = data.get("values")
    known: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
    required = schema.get("required") or ()
    return [
        _field(name, part if isinstance(part, Mapping) else {}, known.get(name), required=name in required)
        for name, part in (schema.get("properties") or {}).items()
        # What was made is picked from pictures, not typed.
        if not (question.kind == "media" and name == "content_ids")
    ]


def answer_of(question: ShownQuestion, sent: FormData) -> JsonValue:
    """Return the answer that a sent form stands for; whether it fits is judged where every answer is.

    Raises:
        ValueError: A field that holds JSON does not.
    """
    if "go_back" in sent:
        feedback = str(sent.get("feedback", "")).strip()
        return {"go_back": str(sent["go_back"]), **({"feedback": feedback} if feedback else {})}
    if WHOLE in sent and len(fields_of(question)) == 1:
        return _json(str(sent[WHOLE]), WHOLE)
    answer: dict[str, JsonValue] = {}
    if question.kind == "media":
        answer["content_ids"] = [str(one) for one in sent.getlist("content_ids")]
    for field in fields_of(question):
        value = _value(field, [str(one) for one in sent.getlist(field.name)])
        if value is not None:
            answer[field.name] = value
    return answer


def _selection(question: ShownQuestion, data: Mapping[str, Any]) -> list[AnswerField]:
    labels = data.get("labels") or ()
    options = tuple(FieldOption(value=str(index), label=str(label)) for index, label in enumerate(labels))
    fields = [
        AnswerField(
            name=PICKED,
            label="Pick",
            form=FieldForm.PICKS,
            options=options,
            many=data.get("max") != 1,
        )
    ]
    if "custom" in _properties_anywhere(question.schema):
        fields.append(AnswerField(name="custom", label="Or say it yourself", form=FieldForm.TEXT))
    return fields if options else fields[1:]


def _accepted(data: Mapping[str, Any]) -> str:
    types = data.get("media_types")
    return ",".join(map(str, types)) if isinstance(types, list) else ""


def _own_schema(question: ShownQuestion) -> Mapping[str, Any]:
    """Return the question's schema without the ways back, which have buttons of their own."""
    schema = question.schema
    parts = schema.get("anyOf")
    first = parts[0] if isinstance(parts, Sequence) and parts else None
    return first if isinstance(first, Mapping) else schema


def _properties_anywhere(schema: Any) -> set[str]:
    if isinstance(schema, Mapping):
        own = set(schema["properties"]) if isinstance(schema.get("properties"), Mapping) else set()
        return own.union(*(_properties_anywhere(part) for part in schema.values()))
    if isinstance(schema, list | tuple):
        return set().union(*(_properties_anywhere(part) for part in schema))
    return set()


def _field(name: str, schema: Mapping[str, Any], value: Any, *, required: bool) -> AnswerField:
    label = str(schema.get("title") or name.replace("_", " ").capitalize())
    value = schema.get("default") if value is None else value
    if isinstance(schema.get("enum"), list):
        options = tuple(
            FieldOption(value=json.dumps(one), label=str(one), chosen=one == value) for one in schema["enum"]
        )
        return AnswerField(name=name, label=label, form=FieldForm.CHOICE, options=options, required=required)
    form = _form_of(schema)
    shown = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return AnswerField(name=name, label=label, form=form, value=shown, required=required)


def _form_of(schema: Mapping[str, Any]) -> FieldForm:
    match schema.get("type"):
        case "string":
            longest = schema.get("maxLength")
            return FieldForm.LINES if isinstance(longest, int) and longest > LONG_TEXT else FieldForm.TEXT
        case "integer" | "number":
            return FieldForm.NUMBER
        case "boolean":
            return FieldForm.CHECK
        case _:
            return FieldForm.JSON


def _value(field: AnswerField, sent: Sequence[str]) -> JsonValue:
    """Return what a field was filled with; ``None`` for nothing."""
    match field.form:
        case FieldForm.CHECK:
            return bool(sent)
        case FieldForm.PICKS:
            return [int(one) for one in sent if one.isdecimal()] or None
    text = sent[0] if sent else ""
    if not text:
        return None
    # A form sends line ends as CRLF.
    is_text = field.form in (FieldForm.TEXT, FieldForm.LINES, FieldForm.FILE)
    return text.replace("\r\n", "\n") if is_text else _json(text, field.label)


def _json(text: str, name: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError as exc:
        raise ValueError(f"{name}: it is no JSON ({exc})") from exc
    return value
