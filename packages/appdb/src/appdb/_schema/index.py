"""One index, declared as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TEXT = {"$gt": ""}
"""Any text. For a filter with ``$type`` in its place, the server would not use the index to look for a text."""
# The order is in the index: a sort in memory would read all that an owner has for one page.
NEWEST_FIRST = (("created_at", -1), ("_id", -1))
"""The end of each index that serves a list, in the order of its pages."""


def having(field: str) -> dict[str, Any]:
    """Return the options of an index that holds only documents which have text in *field*."""
    return {"partialFilterExpression": {field: TEXT}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index of one collection; ``options`` go to ``createIndexes`` as they are."""

    collection: str
    name: str
    keys: tuple[tuple[str, int], ...]
    options: dict[str, Any] = field(default_factory=dict)
