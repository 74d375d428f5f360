"""One index, declared as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TEXT = {"$gt": ""}
"""Any text. For a filter with ``$type`` in its place, the server would not use the index to look for a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index of one collection; ``options`` go to ``createIndexes`` as they are."""

    collection: str
    name: str
    keys: tuple[tuple[str, int], ...]
    options: dict[str, Any] = field(default_factory=dict)
