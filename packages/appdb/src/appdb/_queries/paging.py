"""Sort orders of lists, and the filters by which a page begins after the last row of the one before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb._queries.types import Filter, Sort

# Ids break ties: several documents may have one millisecond, and a page must begin in a definite place.
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
    # A page is found by its last row and never by a count of rows: `skip` reads and discards all pages before.
    return {"created_at": {"$lte": at}, "$or": [{"created_at": {"$lt": at}}, {"_id": {"$lt": row["_id"]}}]}


def and_older_than(match: Filter, row: Mapping[str, Any]) -> Filter:
    """Those that fit *match* and follow *row*, also where *match* has a bound or an ``$or`` of its own."""
    return {"$and": [match, older_than(row)]}
