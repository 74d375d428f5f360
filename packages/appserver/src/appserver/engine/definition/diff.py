"""The difference of two definitions, by the ids of their modules: what a run that moves from one to the other meets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from appserver.engine.definition.model import Definition
from appserver.values.conditions import same
from appserver.values.pointers import escaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value that is another one.

    Args:
        pointer: The JSON Pointer, from the module or from the definition.
        before: The value before; ``None`` when there was none.
        after: The value now; ``None`` when there is none.
    """

    pointer: str
    before: JsonValue
    after: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionDiff:
    """The difference of two definitions.

    Args:
        added: Ids of modules that only the new one has, in its order.
        removed: Ids of modules that only the old one has, in its order.
        moved: Ids of modules that stand in another step, or run before or after others than they did.
        changed: By id, what is another value in modules that both have; ``/type`` for one of another type.
        outside: What is another value outside of modules, such as ``/cost_limit``.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    moved: tuple[str, ...]
    changed: Mapping[str, tuple[Change, ...]]
    outside: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved or self.changed or self.outside)


def compared(old: Definition, new: Definition) -> DefinitionDiff:
    """Return what *new* has other than *old*; renamed modules are one removed and one added."""
    before, after = _modules(old), _modules(new)
    common = [name for name in after if name in before]
    changes = {name: tuple(_changes(before[name][1], after[name][1], "")) for name in common}
    outside_before, outside_after = _outside(old), _outside(new)
    return DefinitionDiff(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        moved=_moved(before, after, common),
        changed={name: found for name, found in changes.items() if found},
        outside=tuple(_changes(outside_before, outside_after, "")),
    )


Placed = Mapping[str, tuple[str, dict[str, Any]]]


def _modules(definition: Definition) -> Placed:
    """Return by id each module's step and what it says."""
    written = definition.as_json()["steps"]
    return {
        module["id"]: (step["id"], {key: value for key, value in module.items() if key != "id"})
        for step in written
        for module in step["modules"]
    }


def _outside(definition: Definition) -> dict[str, Any]:
    whole = dict(definition.as_json())
    steps = [{key: value for key, value in step.items() if key != "modules"} for step in whole.pop("steps")]
    return {**whole, "steps": {step.pop("id"): step for step in steps}}


def _moved(before: Placed, after: Placed, common: Sequence[str]) -> tuple[str, ...]:
    order = {name: index for index, name in enumerate(before)}
    kept = {common[index] for index in _longest_rise([order[name] for name in common])}
    return tuple(name for name in common if name not in kept or before[name][0] != after[name][0])


def _longest_rise(numbers: Sequence[int]) -> list[int]:
    """Return the indexes of a longest rising part of *numbers*, which are all different."""
    ends: list[int] = []
    last: list[int] = []
    previous: list[int] = []
    for index, number in enumerate(numbers):
        length = bisect_left(ends, number)
        previous.append(last[length - 1] if length else -1)
        ends[length:] = [number]
        last[length:] = [index]
    found, index = [], last[-1] if last else -1
    while index >= 0:
        found.append(index)
        index = previous[index]
    return found


def _changes(before: JsonValue, after: JsonValue, pointer: str) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            place = f"{pointer}/{escaped(name)}"
            if name in before and name in after:
                yield from _changes(before[name], after[name], place)
            else:
                yield Change(pointer=place, before=before.get(name), after=after.get(name))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (left, right) in enumerate(zip(before, after, strict=True)):
            yield from _changes(left, right, f"{pointer}/{index}")
    elif not same(before, after):
        yield Change(pointer=pointer, before=before, after=after)
