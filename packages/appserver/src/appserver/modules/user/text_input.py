"""``user.text_input@1``: one text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Ask, Done, Fail, GoBack, Module, ModuleKind, Ports, Seen
from appserver.modules.questions import QuestionInputs, asked, last_answer, way_taken

MAX_CHARACTERS = 60_000


class TextInputs(QuestionInputs):
    """A question for one text."""

    min_length: int = Field(1, ge=0, le=MAX_CHARACTERS, description="Characters; 0 allows an empty text.")
    max_length: int = Field(4_000, ge=1, le=MAX_CHARACTERS, description="Characters.")
    pattern: str | None = Field(
        None, max_length=500, description="A regular expression without look-around and references back."
    )
    multiline: bool = Field(default=False, description="Whether the text may have several lines.")
    value: str = Field("", max_length=MAX_CHARACTERS, description="What the field holds at first.")
    default: str | None = Field(None, max_length=MAX_CHARACTERS, description="What counts when nobody answers.")


class TextOutputs(Ports):
    """The text."""

    value: str = Field(description="What was written.")
    expired: bool = Field(description="Whether it is the default, since nobody answered in time.")


class TextInput(Module[TextInputs, TextOutputs]):
    """Asks a person for a text, and gives it."""

    type = "user.text_input@1"
    kind = ModuleKind.INTERACTION
    Inputs = TextInputs
    Outputs = TextOutputs
    example: ClassVar[Mapping[str, Any]] = {"title": "What shall the narrator say?", "multiline": True}

    def decide(self, inputs: TextInputs, seen: Seen) -> Ask | Done | GoBack | Fail:
        """Ask, and give the text."""
        answer = last_answer(seen)
        if answer is None:
            default: JsonValue = None if inputs.default is None else {"value": inputs.default}
            data: dict[str, JsonValue] = {"multiline": inputs.multiline}
            if inputs.value:
                data["values"] = {"value": inputs.value}
            return asked(inputs, "text_input", _schema(inputs), data=data, default=default)
        if back := way_taken(inputs, dict(answer)):
            return back
        return Done(outputs={"value": answer.get("value"), "expired": seen.answers[-1].expired})


def _schema(inputs: TextInputs) -> Mapping[str, Any]:
    text: dict[str, Any] = {"type": "string", "minLength": inputs.min_length, "maxLength": inputs.max_length}
    if inputs.pattern is not None:
        text["pattern"] = inputs.pattern
    return {"type": "object", "properties": {"value": text}, "required": ["value"], "additionalProperties": False}
