"""Queries and updates of ``queues``: which are paused."""

from __future__ import annotations

from appdb._queries.clock import NOW
from appdb._queries.types import Filter, Pipeline


def named(queue: str) -> Filter:
    """One queue."""
    return {"_id": queue}


def pause(*, paused: bool) -> Pipeline:
    """Let a queue hand out nothing, or tasks again."""
    return [{"$set": {"paused": paused, "updated_at": NOW}}]


def paused() -> Filter:
    """Queues that hand out nothing; there are few, so no index serves it."""
    return {"paused": True}
