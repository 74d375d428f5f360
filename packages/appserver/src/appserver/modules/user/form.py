"""``user.form@1``: a form, made from a JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Ask, Done, ErrorCode, Fail, FieldProblem, GoBack, Module, ModuleKind, Ports, Seen
from appserver.modules.json_schemas import narrowed, unfilled_problems
from appserver.modules.questions import QuestionInputs, asked, last_answer, way_taken


class FormInputs(QuestionInputs):
    """A form."""

    schema_: dict[str, JsonValue] = Field(
        alias="schema", description="The JSON Schema of the answer: an object, whose properties are the fields."
    )
    values: dict[str, JsonValue] = Field(default_factory=dict, description="What the fields hold at first.")
    default: dict[str, JsonValue] | None = Field(None, description="What counts as the answer when nobody answers.")


class FormOutputs(Ports):
    """The filled form."""

    answer: dict[str, JsonValue] = Field(description="The fields, by name.")
    expired: bool = Field(description="Whether it is the default, since nobody answered in time.")


class Form(Module[FormInputs, FormOutputs]):
    """Asks a person to fill in a form, and gives the fields."""

    type = "user.form@1"
    kind = ModuleKind.INTERACTION
    Inputs = FormInputs
    Outputs = FormOutputs
    example: ClassVar[Mapping[str, Any]] = {
        "title": "What is it about?",
        "schema": {
            "type": "object",
            "properties": {"topic": {"type": "string", "title": "Topic", "minLength": 1, "maxLength": 200}},
            "required": ["topic"],
            "additionalProperties": False,
        },
        "values": {"topic": "Tide pools"},
    }

    def check_inputs(self, inputs: Mapping[str, Any]) -> Sequence[FieldProblem]:
        """Return why the schema cannot be used."""
        return unfilled_problems(inputs)

    def decide(self, inputs: FormInputs, seen: Seen) -> Ask | Done | GoBack | Fail:
        """Ask, and give the answer."""
        if inputs.schema_.get("type") != "object":
            return Fail(
                code=ErrorCode.MISCONFIGURED,
                message="the schema of a form must be of type object",
                hint="wrap the value in an object with one property",
            )
        answer = last_answer(seen)
        if answer is None:
            data: dict[str, JsonValue] = {"values": inputs.values} if inputs.values else {}
            return asked(inputs, "form", inputs.schema_, data=data, default=inputs.default)
        if back := way_taken(inputs, dict(answer)):
            return back
        return Done(outputs={"answer": dict(answer), "expired": seen.answers[-1].expired})

    def output_schema(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs' schema, with the form's own schema for the answer."""
        return narrowed(self.Outputs.model_json_schema(), "answer", inputs.get("schema"))
