"""Expressions of many pipelines: numbers and arrays where a document has none, and text that is never evaluated."""

from __future__ import annotations

from typing import Any


def number(field: str) -> dict[str, Any]:
    """Return the expression for *field*, such as ``$attempt``, and 0 where other software has left no number there.

    One document on which an expression fails would end the statement for all behind it.
    """
    return {"$cond": [{"$isNumber": field}, field, 0]}


def array(field: str) -> dict[str, Any]:
    """Return the expression for *field*, and an empty array where there is none."""
    return {"$cond": [{"$isArray": field}, field, []]}


def literal(value: object) -> dict[str, object]:
    """Return *value* as text to a pipeline: what a user wrote must never be read as an expression or a field path."""
    # Without `$literal`, a text that begins with a dollar sign would be evaluated as a path or an operator.
    return {"$literal": value}
