"""Crowds: many documents that a query must not look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from appdb import Database

AT_ONCE = 1_000
"""Documents in one call, so that each call ends within its timeout on a busy machine."""


async def insert_crowd(database: Database, collection: str, rows: Sequence[dict[str, Any]]) -> None:
    """Insert *rows*, in parts."""
    for first in range(0, len(rows), AT_ONCE):
        await database.collection(collection).insert_many(rows[first : first + AT_ONCE], ordered=False)
