"""The inputs of a module: filled from the run's scope, and read by the module's type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError
from pydantic_core import to_json

from appdb import AppDbError, content_hash
from appserver.engine.definition.filling import fill_inputs
from appserver.engine.definition.model import ModuleDefinition
from appserver.errors import FillError
from appserver.modules.contract import ErrorCode, Fail, FieldProblem, Ports
from appserver.modules.registry import AnyModule
from appserver.values.pointers import pointer_of

HINT = "retry with other inputs, go back, or correct the definition and move the run to the new version"
MAX_PROBLEMS = 20


def filled_inputs(
    module: AnyModule,
    used: ModuleDefinition,
    scope: Mapping[str, Any],
    edited: Mapping[str, JsonValue],
    *,
    again: bool = False,
) -> dict[str, JsonValue] | Fail:
    """Return the inputs of one use of a module, filled, with those that a person has *edited* in their place."""
    try:
        wanted = {name: value for name, value in used.inputs.items() if name not in edited}
        filled = fill_inputs(wanted, scope, literal=module.literal, nested=module.nested, again=again)
    except FillError as exc:
        problem = FieldProblem(pointer=exc.pointer, message=exc.problem)
        return Fail(code=ErrorCode.MISCONFIGURED, message=str(exc), hint=HINT, problems=(problem,))
    return {**filled, **edited}


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenInputs:
    """The inputs of one use of a module in one try.

    Args:
        filled: As JSON; empty when they could not be filled.
        inputs: As the module's type reads them, or why they cannot be given.
        size: Bytes that they take as JSON.
    """

    filled: Mapping[str, JsonValue]
    inputs: Ports | Fail
    size: int


def given_inputs(
    module: AnyModule,
    used: ModuleDefinition,
    scope: Mapping[str, Any],
    edited: Mapping[str, JsonValue],
    *,
    again: bool = False,
) -> GivenInputs:
    """Return the inputs of one use of a module, filled and read; *again* where they were filled before."""
    filled = filled_inputs(module, used, scope, edited, again=again)
    if isinstance(filled, Fail):
        return GivenInputs(filled={}, inputs=filled, size=0)
    return GivenInputs(filled=filled, inputs=read_inputs(module, filled), size=len(to_json(filled)))


def read_inputs(module: AnyModule, filled: Mapping[str, JsonValue]) -> Ports | Fail:
    """Return filled inputs as the module's type reads them."""
    try:
        return module.Inputs.model_validate(dict(filled))
    except ValidationError as exc:
        return misfit(ErrorCode.MISCONFIGURED, f"inputs of {module.type} do not fit", HINT, exc)


def misfit(code: ErrorCode, message: str, hint: str, error: ValidationError) -> Fail:
    """Return a failure that names each value which does not fit."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_PROBLEMS]
    problems = tuple(FieldProblem(pointer=pointer_of(one["loc"]), message=one["msg"]) for one in found)
    first = f"{problems[0].pointer or 'the whole'}: {problems[0].message}" if problems else str(error)[:200]
    return Fail(code=code, message=f"{message}: {first}", hint=hint, problems=problems)


def digest_of(type_: str, filled: Mapping[str, JsonValue]) -> str | Fail:
    """Return the digest of a module's type and inputs, by which completions are reused."""
    try:
        return content_hash({"type": type_, "inputs": filled}, field="inputs")
    except AppDbError as exc:
        return Fail(code=ErrorCode.MISCONFIGURED, message=str(exc), hint=HINT)
