"""``transform.enrich@1``: items get more, looked up by one of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, FieldProblem, Module, ModuleKind, Ports, Seen
from appserver.modules.plain import MAX_VALUES, identity, weight
from appserver.values.pointers import pointer_of
from appserver.values.scope import NOTHING, lookup

MAX_ITEMS = 5_000


class EnrichInputs(Ports):
    """Items and what is added to them."""

    items: list[dict[str, JsonValue]] = Field(max_length=MAX_ITEMS, description="The items.")
    additions: list[dict[str, JsonValue]] = Field(max_length=MAX_ITEMS, description="What is added; the first fits.")
    on: str = Field(min_length=1, max_length=256, description="The path to the value by which both are matched.")
    into: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="The field that gets the addition; its fields are merged without.",
    )
    unmatched: Literal["keep", "drop", "fail"] = Field("keep", description="What becomes of an item without addition.")


class EnrichOutputs(Ports):
    """The enriched items."""

    items: list[dict[str, JsonValue]] = Field(description="The items with their additions; their own fields win.")
    unmatched: int = Field(description="How many had none.")


class Enrich(Module[EnrichInputs, EnrichOutputs]):
    """Adds to each item what belongs to it, found by a common value."""

    type = "transform.enrich@1"
    kind = ModuleKind.INLINE
    Inputs = EnrichInputs
    Outputs = EnrichOutputs
    repeatable = True
    example: ClassVar[Mapping[str, Any]] = {
        "items": [{"scene": "tide", "text": "Twice a day ..."}],
        "additions": [{"scene": "tide", "seconds": 4}],
        "on": "scene",
    }

    def decide(self, inputs: EnrichInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the items."""
        table = {key: one for one in reversed(inputs.additions) if (key := _key(one, inputs.on)) is not None}
        found = [(item, table.get(_key(item, inputs.on) or "")) for item in inputs.items]
        lonely = [index for index, (_, addition) in enumerate(found) if addition is None]
        if lonely and inputs.unmatched == "fail":
            message = f"there is nothing to add by {inputs.on!r}"
            problems = [FieldProblem(pointer=pointer_of(["items", index]), message=message) for index in lonely[:20]]
            return Fail(
                code=ErrorCode.INVALID_OUTPUT,
                message=f"{len(lonely)} items have no addition",
                hint="complete the additions, or keep or drop such items",
                problems=tuple(problems),
            )
        kept = [pair for pair in found if pair[1] is not None or inputs.unmatched == "keep"]
        items = [_joined(item, addition, inputs.into) for item, addition in kept]
        if weight(items, MAX_VALUES * 2) > MAX_VALUES * 2:
            return Fail(code=ErrorCode.INVALID_OUTPUT, message="the enriched items are too large; add less")
        return Done(outputs={"items": items, "unmatched": len(lonely)})


def _key(item: Mapping[str, JsonValue], path: str) -> str | None:
    found = lookup(item, path)
    return None if found is NOTHING or found is None else identity(found)


def _joined(
    item: dict[str, JsonValue], addition: dict[str, JsonValue] | None, into: str | None
) -> dict[str, JsonValue]:
    if addition is None:
        return item
    return {**addition, **item} if into is None else {**item, into: addition}
