"""Pages of what is listed newest first: keyset, never skipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.types import Filter, Sort

NEWEST_FIRST: Sort = [("created_at", -1), ("_id", -1)]
OLDEST_FIRST: Sort = [("created_at", 1), ("_id", 1)]
BY_ID: Sort = [("_id", 1)]
"""Ids that are made with a time (``uuid7_str``) are in the order of their making."""
NEWEST_ID_FIRST: Sort = [("_id", -1)]
LAST_USED_FIRST: Sort = [("last_used_at", -1), ("_id", 1)]
BY_NAME: Sort = [("name", 1)]


def older_than(row: Mapping[str, Any]) -> Filter:
    """What follows *row* in ``NEWEST_FIRST``. The first bound lets an index begin there; ``$or`` alone would not."""
    at = row["created_at"]
    return {"created_at": {"$lte": at}, "$or": [{"created_at": {"$lt": at}}, {"_id": {"$lt": row["_id"]}}]}
