"""Questions: the inputs that all of them share, and what follows from an answer to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import Field, JsonValue

from appserver.modules.contract import Ask, ErrorCode, Fail, GoBack, Ports, Question, Seen
from appserver.modules.json_schemas import misfits, schema_problems

MAX_EXPIRY_SECONDS = 366 * 24 * 3600
MAX_FEEDBACK_CHARACTERS = 4_000


class WayBack(Ports):
    """An earlier module, or this one, that the person may send the run back to instead of answering."""

    module: str = Field(min_length=1, max_length=64, description="The id of the module that runs again.")
    label: str = Field("Try again", min_length=1, max_length=80, description="What the button says.")
    feedback: bool = Field(default=True, description="Whether the person is asked what should be better.")
    branch: bool = Field(default=False, description="Whether a new branch begins there; this line stays then.")


class QuestionInputs(Ports):
    """The inputs that every question shares."""

    title: str = Field(min_length=1, max_length=200, description="One line.")
    message: str = Field("", max_length=10_000, description="What the person reads before answering.")
    show: JsonValue = Field(None, description="What is shown beside the question, to judge by.")
    ui: dict[str, JsonValue] = Field(default_factory=dict, description="Hints for the page, by the name of the field.")
    expires_seconds: int | None = Field(
        None, ge=1, le=MAX_EXPIRY_SECONDS, description="How long it stays open; for ever when it is left out."
    )
    go_back: list[WayBack] = Field(
        default_factory=list, max_length=10, description="Modules that the person may send the run back to."
    )


def asked(
    inputs: QuestionInputs,
    kind: str,
    schema: Mapping[str, Any],
    *,
    data: Mapping[str, JsonValue] | None = None,
    default: JsonValue = None,
    by_link: bool = False,
    message: str | None = None,
) -> Ask | Fail:
    """Return the question, or why it cannot be asked: its schema, or its default, is wrong.

    Args:
        inputs: What its author wrote.
        kind: How a page shows it.
        schema: What an answer must fit; the ways back are added to it.
        data: What is shown, beside ``show``.
        default: What counts as the answer when it expires.
        by_link: Whether it may be answered by link.
        message: What is read before answering, in place of the author's words.
    """
    whole = with_ways_back(schema, inputs.go_back)
    if refusal := _refusal(whole, default):
        return refusal
    shown: dict[str, JsonValue] = {} if inputs.show is None else {"show": inputs.show}
    ways: list[JsonValue] = [way.model_dump() for way in inputs.go_back]
    question = Question(
        kind=kind,
        title=inputs.title,
        schema=whole,
        message=inputs.message if message is None else message,
        data={**shown, **(data or {}), **({"go_back": ways} if ways else {})},
        ui=inputs.ui,
        default=default,
        expires_in=None if inputs.expires_seconds is None else timedelta(seconds=inputs.expires_seconds),
        by_link=by_link,
    )
    return Ask(question=question)


def _refusal(schema: Mapping[str, Any], default: JsonValue) -> Fail | None:
    problems, what = schema_problems(schema), "the schema of the answer cannot be used"
    if not problems and default is not None:
        problems, what = misfits(schema, default), "the default does not fit the schema of the answer"
    if not problems:
        return None
    hint = "correct the module's inputs in the definition, and move the run to the new version"
    return Fail(code=ErrorCode.MISCONFIGURED, message=what, hint=hint, problems=problems)


def with_ways_back(schema: Mapping[str, Any], ways: Sequence[WayBack]) -> Mapping[str, Any]:
    """Return *schema*, or instead an answer that names one of the *ways* back and says what should be better."""
    if not ways:
        return schema
    definitions = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    inner = {name: value for name, value in schema.items() if name not in definitions}
    back = [
        {
            "type": "object",
            "properties": {"go_back": {"const": way.module}}
            | ({"feedback": {"type": "string", "maxLength": MAX_FEEDBACK_CHARACTERS}} if way.feedback else {}),
            "required": ["go_back"],
            "additionalProperties": False,
        }
        for way in ways
    ]
    return {**definitions, "anyOf": [inner, *back]}


def way_taken(inputs: QuestionInputs, response: JsonValue) -> GoBack | None:
    """Return where the answer sends the run back to, or ``None`` when it answers the question itself."""
    if not isinstance(response, dict) or "go_back" not in response:
        return None
    way = next((way for way in inputs.go_back if way.module == response["go_back"]), None)
    if way is None:
        return None
    feedback = response.get("feedback")
    return GoBack(module=way.module, feedback={"message": feedback} if feedback else {}, branch=way.branch)


def last_answer(seen: Seen) -> Mapping[str, JsonValue] | None:
    """Return the accepted answer, or ``None`` while there is none."""
    if not seen.answers:
        return None
    response = seen.answers[-1].response
    return response if isinstance(response, dict) else {"value": response}
