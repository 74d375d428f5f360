"""Queries and updates of ``workers``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from appdb._queries.clock import NOW, from_now
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline


def by_id(worker_id: str) -> Filter:
    """One worker."""
    return {"_id": worker_id}


def announce(fields: Mapping[str, Any]) -> Pipeline:
    """Write what a worker says of itself, and when; the time of its first announcement stays."""
    times = {"started_at": {"$ifNull": ["$started_at", NOW]}, "seen_at": NOW}
    return [{"$set": {name: literal(value) for name, value in fields.items()} | times}]


def alive(silence: timedelta) -> Filter:
    """Workers that have announced themselves within *silence*; there are few, so no index serves it."""
    return {"$expr": {"$gte": ["$seen_at", from_now(-silence)]}}
