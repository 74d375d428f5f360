"""Upserts that make a document or leave the one that is there, in one atomic command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal


def insert_once(
    fields: Mapping[str, Any], *, times: tuple[str, ...] = ("created_at",), changes: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """For an upsert whose filter holds the unique key: make the document, or leave the one that is there.

    Args:
        fields: The new document without its key; each value is taken as it is.
        times: Fields of the new document that are the server's time; the first of them says that it is there.
        changes: What becomes of a document that is there, as expressions.
    """
    new = {name: literal(value) for name, value in fields.items()} | dict.fromkeys(times, NOW)
    stored: object = {"$mergeObjects": ["$$ROOT", dict(changes)]} if changes else "$$ROOT"
    # An upsert evaluates its pipeline on a document that has the filter's fields only.
    is_new = {"$eq": [{"$type": f"${times[0]}"}, "missing"]}
    return [{"$replaceWith": {"$cond": [is_new, {"$mergeObjects": ["$$ROOT", new]}, stored]}}]
