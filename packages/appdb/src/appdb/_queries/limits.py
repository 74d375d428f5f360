"""Queries and updates of ``limits``: the token buckets, and what operators set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from appdb._queries.clock import NOW, from_now
from appdb._queries.expressions import literal, number
from appdb._queries.stages import union
from appdb._queries.task_claims import running_under
from appdb._queries.types import Filter, Pipeline, Update
from appdb._schema import collections
from appdb.models.limits import Rate, TaskLimit


def states(keys: Sequence[str]) -> Pipeline:
    """The states of the limits *keys*, with the server's time."""
    return [{"$match": {"_id": {"$in": list(keys)}}}, {"$addFields": {"about": "limit", "now": NOW}}]


def states_and_running(keys: Sequence[str]) -> Pipeline:
    """The states of limits and what runs under them, in one answer; no transaction may ask for it."""
    # The server allows no `$unionWith` in a transaction; there, the two parts are asked for one after the other.
    return [*states(keys), union(collections.TASKS, running_under(keys))]


def spend(key: str, levels: Mapping[Rate, float], at: datetime | None, full_in: timedelta) -> Pipeline:
    """Remember what is left in the buckets of the limit *key*, and mark it: of those who claim under it, one does.

    Args:
        key: The limit.
        levels: What is left in each bucket.
        at: The time that the levels are of, by the server's clock; ``None`` for now.
        full_in: When all of it may be forgotten, since a bucket that is full is like one that was never used.
    """
    buckets = [{"rate": rate, "per_seconds": seconds, "tokens": tokens} for (rate, seconds), tokens in levels.items()]
    since = NOW if at is None else literal(at)
    changes = {
        "key": literal(key),
        "buckets": literal(buckets),
        "buckets_at": since,
        "refilled_at": since,
        "full_at": from_now(full_in),
        # Always a change, also when no tokens are spent: it makes two claims under one key conflict (decision 0006).
        "used": {"$add": [number("$used"), 1]},
    }
    # Hosts of release 0.3 and before know of one bucket only.
    fewest = {"tokens": literal(min(levels.values()))} if levels else {}
    return [{"$set": changes | fewest}]


def unused(age: timedelta) -> Filter:
    """What is remembered of limits that nobody set, that nobody used for *age*, and whose buckets have been full for
    as long; served by index limits_full.

    Hosts of release 0.3 and before do not say when theirs are full.
    """
    long_ago = from_now(-age)
    return {
        "override": {"$exists": False},
        "$expr": {"$and": [{"$lte": ["$full_at", long_ago]}, {"$lte": ["$refilled_at", long_ago]}]},
    }


def override(limit: TaskLimit) -> Pipeline:
    """Let *limit* count for its key, whatever tasks carry."""
    # As a pipeline with a literal, like every update that holds what a caller wrote.
    return [{"$set": {"override": literal(limit.model_dump(exclude={"key"}))}}]


def without_override() -> Update:
    """Let what tasks carry count again."""
    return {"$unset": {"override": ""}}


def overridden() -> Filter:
    """Limits that operators set; there are few, so no index serves it."""
    return {"override": {"$type": "object"}}
