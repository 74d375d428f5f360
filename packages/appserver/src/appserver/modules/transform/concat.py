"""``transform.concat@1``: several lists become one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, Module, ModuleKind, Ports, Seen
from appserver.modules.plain import identity

MAX_ITEMS = 10_000


class ConcatInputs(Ports):
    """Lists."""

    lists: list[list[JsonValue]] = Field(max_length=200, description="The lists, in their order.")
    unique: bool = Field(default=False, description="Whether of equal items only the first is kept.")


class ConcatOutputs(Ports):
    """One list."""

    items: list[JsonValue] = Field(description="All items.")
    count: int = Field(description="How many there are.")


class Concat(Module[ConcatInputs, ConcatOutputs]):
    """Makes one list of several."""

    type = "transform.concat@1"
    kind = ModuleKind.INLINE
    Inputs = ConcatInputs
    Outputs = ConcatOutputs
    repeatable = True
    example: ClassVar[Mapping[str, Any]] = {"lists": [["sea", "night"], ["night", "crab"]], "unique": True}

    def decide(self, inputs: ConcatInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the list."""
        items = [item for inner in inputs.lists for item in inner]
        if len(items) > MAX_ITEMS:
            message = f"the lists have {len(items):,} items in all; at most {MAX_ITEMS:,} are allowed"
            return Fail(code=ErrorCode.INVALID_OUTPUT, message=message)
        if inputs.unique:
            items = list({identity(item): item for item in reversed(items)}.values())[::-1]
        return Done(outputs={"items": items, "count": len(items)})
