"""``flow.map@1``: the same modules for each of many items."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import filterfalse, islice
from typing import Any, ClassVar

from pydantic import Field, JsonValue, SkipValidation

from appserver.modules.contract import (
    Await,
    Call,
    ChildCall,
    Done,
    ErrorCode,
    Fail,
    FieldProblem,
    ItemCall,
    Module,
    ModuleKind,
    Ports,
    Seen,
    Work,
)
from appserver.modules.standing import standing_of

MAX_ITEMS = 1_000
MAX_AT_ONCE = 100
MAX_TOLD_FAILURES = 20
KEYS = tuple(map(str, range(MAX_ITEMS)))
"""The keys of items: their numbers."""


class CompleteWhen(Ports):
    """The completion of a map of which not every item has succeeded."""

    min_success: int | None = Field(
        default=None,
        ge=0,
        description="So many successes are enough; what still runs is stopped. All items when left out.",
    )
    tolerated_failures: int = Field(default=0, ge=0, description="So many items may fail; one more fails the map.")


class MapInputs(Ports):
    """Items, and what is done with each."""

    # Whatever is filled in is JSON, and to look at each of a thousand items takes longer than to decide.
    items: list[SkipValidation[JsonValue]] = Field(max_length=MAX_ITEMS, description="One run of the modules for each.")
    run: dict[str, JsonValue] | list[dict[str, JsonValue]] = Field(
        description="A module's definition, or a list of them; they find `item` and `index` beside what the run has. "
        "One module that needs a single task runs as a part of this one; a list is a run of its own for each item."
    )
    at_once: int = Field(10, ge=1, le=MAX_AT_ONCE, description="How many items are worked at, at the same time.")
    complete_when: CompleteWhen = CompleteWhen()


class ItemFailure(Ports):
    """An item that failed."""

    index: int
    code: str
    message: str


class MapOutputs(Ports):
    """The results of the items."""

    results: list[JsonValue] = Field(
        description="In the items' order: what the one module gave, or by module what each gave; null for no success."
    )
    failures: list[ItemFailure] = Field(description="The first of those that failed.")
    succeeded: int = Field(description="How many items have a result.")


class Map(Module[MapInputs, MapOutputs]):
    """Runs modules for each item of a list, many at once, and gives the results in the items' order."""

    type = "flow.map@1"
    kind = ModuleKind.FLOW
    Inputs = MapInputs
    Outputs = MapOutputs
    nested = frozenset({"run"})
    example: ClassVar[Mapping[str, Any]] = {
        "items": ["a lighthouse", "a harbour"],
        "run": {"id": "draw", "type": "task.run@1", "in": {"actor": "picture", "payload": {"prompt": "{{ item }}"}}},
        "at_once": 2,
    }

    def decide(self, inputs: MapInputs, seen: Seen) -> Await | Done | Fail:
        """Keep as many items at work as may be, until enough have ended."""
        count, rule = len(inputs.items), inputs.complete_when
        standing = standing_of(seen.work)
        succeeded, failed = standing.succeeded, standing.failed
        enough = count if rule.min_success is None else min(rule.min_success, count)
        all_ended = succeeded + failed == count
        if succeeded >= enough or (all_ended and failed <= rule.tolerated_failures):
            return Done(outputs=_outputs(count, seen.work))
        if failed > rule.tolerated_failures or all_ended:
            return _failure(inputs, seen.work)
        free = max(0, inputs.at_once - standing.open)
        waiting = filterfalse(seen.work.__contains__, KEYS[:count])
        return Await(calls=tuple(_call(inputs, int(key)) for key in islice(waiting, free)))

    def call_values(self, inputs: MapInputs, key: str) -> Mapping[str, JsonValue]:
        """Return the item of this number, if there is one."""
        index = int(key)
        return _values(inputs, index) if index < len(inputs.items) else {}

    def output_schema(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the outputs' schema; what items give is known only where they run."""
        return self.Outputs.model_json_schema()


def _call(inputs: MapInputs, index: int) -> Call:
    values = _values(inputs, index)
    label = f"{index + 1} of {len(inputs.items)}"
    if isinstance(inputs.run, dict):
        return ItemCall(key=str(index), nested="run", values=values, label=label)
    return ChildCall(key=str(index), modules=inputs.run, values=values, label=label)


def _values(inputs: MapInputs, index: int) -> dict[str, JsonValue]:
    return {"item": inputs.items[index], "index": index}


def _outputs(count: int, work: Mapping[str, Work]) -> dict[str, Any]:
    by_index = {int(key): one for key, one in work.items()}
    results = {index: one.result for index, one in by_index.items() if one.state == "completed"}
    return {
        "results": [results.get(index) for index in range(count)],
        "failures": [_told(index, by_index[index]) for index in _failed(by_index)[:MAX_TOLD_FAILURES]],
        "succeeded": len(results),
    }


def _failed(by_index: Mapping[int, Work]) -> list[int]:
    return sorted(index for index, one in by_index.items() if one.state in ("failed", "cancelled"))


def _told(index: int, work: Work) -> dict[str, Any]:
    error = work.error or {}
    return {
        "index": index,
        "code": str(error.get("code", ErrorCode.CANCELLED.value)),
        "message": str(error.get("message", "")),
    }


def _failure(inputs: MapInputs, work: Mapping[str, Work]) -> Fail:
    """Return the map's failure; it has the class of the first item's, so that what may pass is tried again."""
    by_index = {int(key): one for key, one in work.items()}
    indexes = _failed(by_index)
    told = [_told(index, by_index[index]) for index in indexes[:MAX_TOLD_FAILURES]]
    code = told[0]["code"] if told else ErrorCode.MISCONFIGURED.value
    return Fail(
        code=ErrorCode(code) if code in set(ErrorCode) else ErrorCode.RETRYABLE,
        message=f"{len(indexes)} of {len(inputs.items)} items failed; the first: {told[0]['message'] if told else ''}",
        hint="retry the failed items, or allow more with complete_when.tolerated_failures",
        problems=tuple(FieldProblem(pointer=f"/items/{one['index']}", message=one["message"]) for one in told),
    )
