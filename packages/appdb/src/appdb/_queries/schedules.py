"""Queries and updates of ``schedules``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from appdb._queries.clock import NOW
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline, Update
from appdb.models.schedules import Schedule


def put(fields: Mapping[str, Any], next_at: datetime) -> tuple[Filter, Pipeline]:
    """Create or replace a schedule; with unchanged times it keeps its next tick, and it stays paused if it was."""
    # A new payload must not fire a tick again; new times begin with their own next tick.
    same_times = {"$and": [{"$eq": [f"${name}", literal(fields[name])]} for name in ("cron", "time_zone")]}
    kept = {
        "enabled": {"$ifNull": ["$enabled", True]},
        "last_tick": {"$ifNull": ["$last_tick", None]},
        "next_at": {"$cond": [same_times, "$next_at", next_at]},
    }
    given = {name: literal(value) for name, value in fields.items() if name != "_id"}
    return {"_id": fields["_id"]}, [{"$set": given | kept}]


def owned(schedule_id: str, owner_id: str) -> Filter:
    """One schedule of one owner."""
    return {"_id": schedule_id, "owner_id": owner_id}


def page(owner_id: str, after: str | None) -> Filter:
    """An owner's schedules, with names after the cursor *after*; served by index schedules_owner."""
    return {"owner_id": owner_id} | ({} if after is None else {"name": {"$gt": after}})


def timed(match: Filter) -> Pipeline:
    """What *match* finds, with the server's time beside it in ``now``."""
    return [{"$match": match}, {"$addFields": {"now": NOW}}]


def due(limit: int) -> Pipeline:
    """The *limit* schedules that are due for longest, with the server's time; served by index schedules_due."""
    match = {"enabled": True, "$expr": {"$lte": ["$next_at", NOW]}}
    return [{"$match": match}, {"$sort": {"next_at": 1}}, {"$limit": limit}, {"$addFields": {"now": NOW}}]


def advance(schedule: Schedule, tick: datetime | None, next_at: datetime) -> tuple[Filter, Update]:
    """Pass a tick, if the schedule is still as it was read: of many who try, one finds it so."""
    # Of all hosts that saw the tick due, one finds the schedule as it read it, and enqueues.
    read = {"next_at": schedule.next_at, "cron": schedule.cron, "time_zone": schedule.time_zone}
    fired = {} if tick is None else {"last_tick": tick}
    return {"_id": schedule.id, "enabled": True} | read, {"$set": {"next_at": next_at} | fired}


def pause() -> Update:
    """Stop firing."""
    return {"$set": {"enabled": False}}


def resume(next_at: datetime) -> Update:
    """Fire again, from *next_at* on."""
    return {"$set": {"enabled": True, "next_at": next_at}}
