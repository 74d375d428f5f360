"""Batches: deletion of many documents, a batch at a time, so that no command exceeds the operation timeout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._driver import Collection
from appdb._queries.filters import by_ids
from appdb.runs.size_limits import DELETE_BATCH


async def delete_all(collection: Collection, match: Mapping[str, Any]) -> int:
    """Delete what *match* finds, and return how many documents; safe to repeat and to run twice at once."""
    count = 0
    # By id, since a deletion has no limit of its own on the server.
    while ids := [row["_id"] async for row in collection.find(match, {"_id": 1}).limit(DELETE_BATCH)]:
        count += (await collection.delete_many(by_ids(ids))).deleted_count
    return count
