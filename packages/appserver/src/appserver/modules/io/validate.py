"""``io.validate@1``: a value is held against a JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, FieldProblem, Module, ModuleKind, Ports, Seen
from appserver.modules.json_schemas import misfits, schema_problems, unfilled_problems


class ValidateInputs(Ports):
    """A value and its schema."""

    value: JsonValue = Field(description="What is checked.")
    schema_: dict[str, JsonValue] = Field(alias="schema", description="The JSON Schema that it must fit.")
    strict: bool = Field(default=True, description="Whether a value that does not fit is an error of the run.")
    message: str = Field("", max_length=1_000, description="What the error says, in place of the module's own words.")


class MisfitPlace(Ports):
    """A place that does not fit."""

    pointer: str
    message: str


class ValidateOutputs(Ports):
    """The verdict."""

    valid: bool = Field(description="Whether the value fits.")
    problems: list[MisfitPlace] = Field(description="Where it does not, at most 20 places.")
    value: JsonValue = Field(description="The value, as it was given.")


class Validate(Module[ValidateInputs, ValidateOutputs]):
    """Holds a value against a JSON Schema, and stops the run when it does not fit."""

    type = "io.validate@1"
    kind = ModuleKind.INLINE
    Inputs = ValidateInputs
    Outputs = ValidateOutputs
    repeatable = True
    literal = frozenset({"schema"})
    example: ClassVar[Mapping[str, Any]] = {
        "value": {"scenes": ["a", "b"]},
        "schema": {"type": "object", "properties": {"scenes": {"type": "array", "minItems": 1}}},
    }

    def check_inputs(self, inputs: Mapping[str, Any]) -> Sequence[FieldProblem]:
        """Return why the schema cannot be used."""
        return unfilled_problems(inputs)

    def decide(self, inputs: ValidateInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the verdict."""
        if problems := schema_problems(inputs.schema_):
            return Fail(code=ErrorCode.MISCONFIGURED, message="the schema cannot be used", problems=problems)
        problems = misfits(inputs.schema_, inputs.value)
        if problems and inputs.strict:
            return Fail(
                code=ErrorCode.INVALID_OUTPUT,
                message=inputs.message or "the value does not fit its schema",
                hint="repeat what made the value, or go back to it",
                problems=problems,
            )
        told = [{"pointer": problem.pointer, "message": problem.message} for problem in problems]
        return Done(outputs={"valid": not problems, "problems": told, "value": inputs.value})
