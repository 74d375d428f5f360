"""Subschemas: the part of a JSON Schema that a path leads to, and the types that a schema allows.

A schema that cannot be told for certain is ``None``: nothing is said of what it describes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from appserver.values.pointers import parts_of
from appserver.values.scope import NOTHING, inner, is_index

Schema: TypeAlias = Mapping[str, Any]
MAX_HOPS = 12
"""References that are followed in a row."""
MAX_ALTERNATIVES = 12
ALTERNATIVES = ("anyOf", "oneOf")


class NoSubschema(Enum):
    """The answer where a schema certainly has no such part."""

    HERE = "absent"


ABSENT: Final = NoSubschema.HERE
Found: TypeAlias = Schema | Literal[NoSubschema.HERE] | None


class SchemaView:
    """A schema, or a part of one, with the whole that its references lead into.

    Args:
        whole: The schema that ``#`` stands for.
        part: The part that is looked at; the whole when it is left out.
    """

    def __init__(self, whole: Schema, part: Any = None) -> None:  # a part may be any value: users write schemas
        self.whole = whole
        self.part = whole if part is None else part

    def at(self, path: Sequence[str]) -> SchemaView | Literal[NoSubschema.HERE] | None:
        """Return the part that describes the value at *path*, ``ABSENT`` when there is none, ``None`` for unknown."""
        views: list[SchemaView] = [self]
        for part in path:
            following = [found for view in views for found in view._inner(part)]
            if any(found is None for found in following) or len(following) > MAX_ALTERNATIVES:
                return None
            views = [found for found in following if isinstance(found, SchemaView)]
            if not views:
                return ABSENT
        return views[0] if len(views) == 1 else SchemaView(self.whole, {"anyOf": [view.part for view in views]})

    def names(self) -> list[str]:
        """Return the names of properties that the schema knows."""
        return [
            name
            for option in self.options() or ()
            if isinstance(properties := option.get("properties"), Mapping)
            for name in properties
        ]

    def options(self) -> list[Schema] | None:
        """Return the alternatives that a value may fit, with references followed, or ``None`` for unknown."""
        found: list[Schema] = []
        waiting: list[tuple[Any, int]] = [(self.part, 0)]
        while waiting:
            schema, hops = waiting.pop()
            if not isinstance(schema, Mapping) or hops > MAX_HOPS or len(found) > MAX_ALTERNATIVES:
                return None
            inner_ones = self._alternatives(schema)
            if inner_ones is None:
                found.append(schema)
            else:
                waiting.extend((each, hops + 1) for each in reversed(inner_ones))
            if len(waiting) > MAX_ALTERNATIVES:
                return None
        return found

    def _alternatives(self, schema: Schema) -> list[Any] | None:
        if isinstance(reference := schema.get("$ref"), str):
            return [self._target(reference)]
        for keyword in ALTERNATIVES:
            if isinstance(inner_ones := schema.get(keyword), list):
                return inner_ones
        if isinstance(every := schema.get("allOf"), list) and len(every) == 1 and "properties" not in schema:
            return every
        return None

    def _target(self, reference: str) -> Any:
        found: Any = self.whole if reference.startswith("#") else None
        for part in parts_of(reference):
            found = inner(found, part)
        return None if found is NOTHING else found

    def _inner(self, part: str) -> Iterator[SchemaView | None]:
        options = self.options()
        if options is None:
            yield None
            return
        for option in options:
            found = _step(option, part)
            if found is None:
                yield None
            elif found is not ABSENT:
                yield SchemaView(self.whole, found)


def _step(schema: Schema, part: str) -> Found:
    """Return the schema of the value under this name or index."""
    kinds = types_allowed(schema)
    if kinds is None or "allOf" in schema or "if" in schema or "patternProperties" in schema:
        return None
    if "object" in kinds:
        return _property(schema, part)
    if "array" in kinds and is_index(part):
        return _item(schema, int(part))
    return ABSENT


def _property(schema: Schema, name: str) -> Found:
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and name in properties:
        return _known(properties[name])
    additional = schema.get("additionalProperties")
    return ABSENT if additional is False else _known(additional)


def _item(schema: Schema, index: int) -> Found:
    first = schema.get("prefixItems")
    if isinstance(first, list) and index < len(first):
        return _known(first[index])
    most = schema.get("maxItems")
    if isinstance(most, int) and index >= most:
        return ABSENT
    items = schema.get("items")
    return ABSENT if items is False else _known(items)


def _known(schema: object) -> Schema | None:
    return schema if isinstance(schema, Mapping) and schema else None


TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    dict: "object",
    list: "array",
    type(None): "null",
}


def types_allowed(schema: Schema) -> frozenset[str] | None:
    """Return the types of JSON that a schema without references and alternatives allows, or ``None`` for unknown."""
    match schema:
        case {"const": value}:
            return _types_of([value])
        case {"enum": [*values]}:
            return _types_of(values)
        case {"type": str(name)}:
            return frozenset({name})
        case {"type": [*names]} if all(isinstance(name, str) for name in names):
            return frozenset(names)
        case _:
            return None


def _types_of(values: Iterable[object]) -> frozenset[str] | None:
    types = {TYPES.get(type(value)) for value in values}
    return None if None in types else frozenset(kind for kind in types if kind is not None)
