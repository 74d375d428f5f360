"""``transform.query@1``: a JMESPath expression, whose work and result are counted while it is evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, FieldProblem, Module, ModuleKind, Ports, Seen
from appserver.modules.plain import MAX_VALUES, is_json, plain, weight
from appserver.modules.transform.counting import CountingInterpreter, TooMuchWorkError

MAX_EXPRESSION_CHARACTERS = 1_024
FAILURES = (JMESPathError, RecursionError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError)
"""The library raises Python's own errors for some of what it does not understand."""


class QueryInputs(Ports):
    """A value and an expression."""

    value: JsonValue = Field(description="What is asked.")
    expression: str = Field(
        min_length=1,
        max_length=MAX_EXPRESSION_CHARACTERS,
        description="In JMESPath, such as ``scenes[?seconds > `3`].text``.",
    )


class QueryOutputs(Ports):
    """The result."""

    result: JsonValue = Field(description="What the expression gives; null when nothing fits.")


class Query(Module[QueryInputs, QueryOutputs]):
    """Asks a value by a JMESPath expression."""

    type = "transform.query@1"
    kind = ModuleKind.INLINE
    Inputs = QueryInputs
    Outputs = QueryOutputs
    repeatable = True
    literal = frozenset({"expression"})
    example: ClassVar[Mapping[str, Any]] = {
        "value": {"scenes": [{"text": "The tide", "seconds": 4}, {"text": "The crab", "seconds": 2}]},
        "expression": "scenes[?seconds > `3`].text",
    }

    def check_inputs(self, inputs: Mapping[str, Any]) -> Sequence[FieldProblem]:
        """Return why the expression cannot be read."""
        expression = inputs.get("expression")
        if not isinstance(expression, str) or len(expression) > MAX_EXPRESSION_CHARACTERS:
            return ()
        try:
            jmespath.compile(expression)
        except FAILURES as exc:
            return [FieldProblem(pointer="/expression", message=f"it cannot be read: {exc}"[:300])]
        return ()

    def decide(self, inputs: QueryInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the result."""
        try:
            expression = jmespath.compile(inputs.expression)
            result = CountingInterpreter().visit(expression.parsed, plain(inputs.value))
        except TooMuchWorkError as exc:
            return _failed(str(exc), "ask for less, or make the value smaller before")
        except FAILURES as exc:
            return _failed(f"{type(exc).__name__}: {exc}", "correct the expression; see https://jmespath.org")
        if not is_json(result):
            return _failed("its result is no JSON value", "an expression must be applied to something, a number finite")
        if weight(result, MAX_VALUES) > MAX_VALUES:
            return _failed(f"its result has more than {MAX_VALUES:,} values", "ask for less")
        return Done(outputs={"result": result})


def _failed(message: str, hint: str) -> Fail:
    return Fail(code=ErrorCode.MISCONFIGURED, message=f"the expression fails: {message}"[:1_000], hint=hint)
