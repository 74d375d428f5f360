"""Pages of what is listed newest first: keyset, never skipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Filter = dict[str, Any]

NEWEST_FIRST = [("created_at", -1), ("_id", -1)]


def older_than(row: Mapping[str, Any]) -> Filter:
    """What follows *row* in ``NEWEST_FIRST``. The first bound lets an index begin there; ``$or`` alone would not."""
    at = row["created_at"]
    return {"created_at": {"$lte": at}, "$or": [{"created_at": {"$lt": at}}, {"_id": {"$lt": row["_id"]}}]}
