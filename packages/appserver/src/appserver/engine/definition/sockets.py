"""Sockets: whether what one module gives can be what another one takes; complaints only where it certainly cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appserver.engine.definition.subschemas import ABSENT, Schema, SchemaView, types_allowed
from appserver.values.conditions import same

MAX_LEVELS = 6
MAX_PAIRS = 300
"""Pairs of alternatives that are compared."""
TEXT = SchemaView({"type": "string"})
"""What a reference within a longer text gives."""
OBJECT, ARRAY = frozenset({"object"}), frozenset({"array"})
WORDS: Mapping[str, str] = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def misfit(given: SchemaView, wanted: SchemaView) -> str | None:
    """Return why no value of *given* fits *wanted*, or ``None`` when one may fit or it cannot be told."""
    return _SocketCheck().misfit(given, wanted, 0)


class _SocketCheck:
    """One comparison of two schemas; it gives up, without a complaint, beyond its caps."""

    def __init__(self) -> None:
        self._left = MAX_PAIRS

    def misfit(self, given: SchemaView, wanted: SchemaView, level: int) -> str | None:
        givens, wanteds = given.options(), wanted.options()
        if not givens or not wanteds or level == MAX_LEVELS:
            return None
        self._left -= len(givens) * len(wanteds)
        if self._left < 0:
            return None
        reasons = [self._pair(given, one, wanted, other, level) for one in givens for other in wanteds]
        if any(reason is None for reason in reasons):
            return None
        if len(reasons) > 1 and (words := _types_misfit(_union(givens), _union(wanteds))):
            return words
        return reasons[0]

    def _pair(self, given: SchemaView, one: Schema, wanted: SchemaView, other: Schema, level: int) -> str | None:
        givens, wanteds = types_allowed(one), types_allowed(other)
        if reason := _types_misfit(givens, wanteds) or _values_misfit(one, other):
            return reason
        if givens == wanteds == OBJECT:
            return self._objects(SchemaView(given.whole, one), SchemaView(wanted.whole, other), level)
        items, wanted_items = one.get("items"), other.get("items")
        if givens == wanteds == ARRAY and isinstance(items, Mapping) and isinstance(wanted_items, Mapping):
            reason = self.misfit(SchemaView(given.whole, items), SchemaView(wanted.whole, wanted_items), level + 1)
            return reason and f"its items: {reason}"
        return None

    def _objects(self, given: SchemaView, wanted: SchemaView, level: int) -> str | None:
        for name in sorted(_names(wanted.part, "required")):
            if given.at([name]) is ABSENT:
                return f"it has no {name!r}, which is wanted"
        for name in sorted(_names(given.part, "required")):
            inner, taken = given.at([name]), wanted.at([name])
            if taken is ABSENT:
                return f"it has {name!r}, which is not taken"
            if isinstance(inner, SchemaView) and isinstance(taken, SchemaView):
                reason = self.misfit(inner, taken, level + 1)
                if reason is not None:
                    return f"its {name}: {reason}"
        return None


def _union(schemas: list[Schema]) -> frozenset[str] | None:
    found: set[str] = set()
    for schema in schemas:
        types = types_allowed(schema)
        if types is None:
            return None
        found |= types
    return frozenset(found)


def _types_misfit(givens: frozenset[str] | None, wanteds: frozenset[str] | None) -> str | None:
    if givens is None or wanteds is None or not _widened(givens).isdisjoint(_widened(wanteds)):
        return None
    return f"it is {_listed(givens)}, where {_listed(wanteds)} is wanted"


def _widened(types: frozenset[str]) -> frozenset[str]:
    # A number may be whole, and a whole number is a number.
    return types | {"integer", "number"} if types & {"integer", "number"} else types


def _listed(types: frozenset[str]) -> str:
    return " or ".join(WORDS.get(name, name) for name in sorted(types))


def _values_misfit(one: Schema, other: Schema) -> str | None:
    givens, wanteds = _values(one), _values(other)
    if givens is None or wanteds is None or len(givens) * len(wanteds) > 2_500:
        return None
    if any(same(given, wanted) for given in givens for wanted in wanteds):
        return None
    return f"it is one of {givens!r:.80}, where one of {wanteds!r:.80} is wanted"


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema["enum"] if isinstance(schema.get("enum"), list) else None


def _names(schema: Schema, keyword: str) -> set[str]:
    names = schema.get(keyword)
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
