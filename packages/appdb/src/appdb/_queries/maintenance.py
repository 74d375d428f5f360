"""The query for maintenance that is due, over tasks and schedules."""

from __future__ import annotations

from datetime import timedelta

from appdb._queries.clock import NOW, from_now
from appdb._queries.stages import union
from appdb._queries.tasks import expired
from appdb._queries.types import Filter, Pipeline
from appdb._schema import collections
from appdb.models.tasks import TaskState


def maintenance_due(horizon: timedelta) -> Pipeline:
    """Maintenance that is due: rows ``about`` a duty, and in how many milliseconds, within *horizon*.

    One seek of one index each. The next tick to come is asked for by itself, since a schedule that no host can read
    stays due.
    """
    end = from_now(horizon)
    promote = _first({"state": TaskState.SCHEDULED, "$expr": {"$lte": ["$run_at", end]}}, "promote", "run_at")
    tick = _first({"enabled": True, "$expr": {"$lte": ["$next_at", end]}}, "tick", "next_at")
    ahead = {"$and": [{"$gt": ["$next_at", NOW]}, {"$lte": ["$next_at", end]}]}
    next_tick = _first({"enabled": True, "$expr": ahead}, "next_tick", "next_at")
    ending = {"state": TaskState.PROCESSING, "$expr": {"$lte": ["$lease.expires_at", end]}}
    recover = _first(ending, "recover", "lease.expires_at")
    expire = _first(expired(), "expire", "expires_at")
    adopt = _first({"state": TaskState.QUEUED, "lane": None}, "fill_claim_keys", "queued_at")
    schedules = [(collections.SCHEDULES, pipeline) for pipeline in (tick, next_tick)]
    unions = [*schedules, *((collections.TASKS, pipeline) for pipeline in (recover, expire, adopt))]
    return [*promote, *(union(collection, stages) for collection, stages in unions)]


def _first(match: Filter, about: str, time_field: str) -> Pipeline:
    # What is no time sorts before all of them, so that it is due; and an expression that fails would hide all others.
    is_time = {"$eq": [{"$type": f"${time_field}"}, "date"]}
    wait = {"$cond": [is_time, {"$max": [0, {"$subtract": [f"${time_field}", NOW]}]}, 0]}
    return [
        {"$match": match},
        {"$sort": {time_field: 1}},
        {"$limit": 1},
        {"$project": {"about": about, "in_ms": wait}},
    ]
