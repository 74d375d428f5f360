"""Samples: a value that fits a schema, where an easy one does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sample(schema: Mapping[str, Any] | bool) -> Any:
    """Return a small value made from *schema*; it may not fit, where a pattern or a combination asks for more."""
    if isinstance(schema, bool):
        return None
    for given in ("default", "const"):
        if given in schema:
            return schema[given]
    if options := schema.get("enum"):
        return options[0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if parts := schema.get(choice):
            return sample(parts[0])
    return _of_type(schema)


def _of_type(schema: Mapping[str, Any]) -> Any:
    type_ = schema.get("type")
    match type_[0] if isinstance(type_, list) else type_:
        case "string":
            return "x" * max(1, int(schema.get("minLength", 1)))
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "array":
            # Different items, for the case that they must be.
            count, first = int(schema.get("minItems", 0)), sample(schema.get("items", {}))
            return [first + number if isinstance(first, int) else first for number in range(count)]
        case "object":
            fields = schema.get("properties", {})
            return {name: sample(fields.get(name, {})) for name in schema.get("required", [])}
        case _:
            return None
