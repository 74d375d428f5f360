"""``transform.conditional@1``: one value of several, by conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Done, Module, ModuleKind, Ports, Seen
from appserver.values.conditions import Condition, holds


class Case(Ports):
    """A value, and when it is given."""

    when: Condition = Field(description="A condition, whose paths begin with names of ``values``.")
    value: JsonValue = Field(description="What is given when it holds.")


class ConditionalInputs(Ports):
    """Cases."""

    values: dict[str, JsonValue] = Field(default_factory=dict, description="What the conditions look at, by name.")
    cases: list[Case] = Field(min_length=1, max_length=100, description="The first whose condition holds counts.")
    otherwise: JsonValue = Field(None, description="What is given when none holds.")


class ConditionalOutputs(Ports):
    """The value."""

    value: JsonValue = Field(description="The value of the case, or what is given otherwise.")
    case: int | None = Field(description="The number of the case, from 0.")


class Conditional(Module[ConditionalInputs, ConditionalOutputs]):
    """Gives the value of the first case whose condition holds."""

    type = "transform.conditional@1"
    kind = ModuleKind.INLINE
    Inputs = ConditionalInputs
    Outputs = ConditionalOutputs
    repeatable = True
    example: ClassVar[Mapping[str, Any]] = {
        "values": {"seconds": 75},
        "cases": [{"when": {"path": "seconds", "op": "gt", "value": 60}, "value": "long"}],
        "otherwise": "short",
    }

    def decide(self, inputs: ConditionalInputs, seen: Seen) -> Done:  # noqa: ARG002
        """Give the value."""
        for number, case in enumerate(inputs.cases):
            if holds(case.when, inputs.values):
                return Done(outputs={"value": case.value, "case": number})
        return Done(outputs={"value": inputs.otherwise, "case": None})
