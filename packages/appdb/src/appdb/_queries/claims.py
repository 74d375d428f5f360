"""What a claim asks of ``tasks``: which are due, of whom, and how they are taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from appdb._queries.clock import FOREVER, NOW, from_now, literal, number
from appdb._schema import collections
from appdb.models.task import TaskState

Filter = dict[str, Any]
Pipeline = list[dict[str, Any]]
Sort = list[tuple[str, int]]

# Served by index tasks_lane, and within one group by tasks_group.
CLAIM_ORDER: Sort = [("priority", -1), ("queued_at", 1), ("_id", 1)]
CANDIDATE_FIELDS = {"owner_id": 1, "priority": 1, "queued_at": 1, "limits": 1}
SEPARATOR = "\x1f"
"""Parts a key from the next; no name may hold it."""
AFTER_SEPARATOR = "\x20"
SAMPLED_LEASES = 64
"""How many of others' newest leases tell who the rivals are; one's own, which may be more and newer, do not count."""
MOST_RIVALS = 16


def lane(queue: str, handler: str) -> str:
    """Return the key of what one handler may take from one queue."""
    return f"{queue}{SEPARATOR}{handler}"


def group(lane_key: str, owner_id: str, limit_keys: Iterable[str]) -> str:
    """Return the key of tasks that stand in one line: of one lane and one owner, under the same limits."""
    return SEPARATOR.join([lane_key, owner_id, *sorted(limit_keys)])


def due(lanes: Sequence[str]) -> Filter:
    """Due tasks of *lanes* that have not expired; the state must be an equality for the partial index to serve."""
    return {"state": TaskState.QUEUED, "lane": {"$in": list(lanes)}, **_unexpired()}


def free(lanes: Sequence[str]) -> Filter:
    """Those of ``due`` that one atomic operation may take, since no limit has to be looked at."""
    return due(lanes) | {"limited": False}


def due_of(groups: Sequence[str]) -> Filter:
    """Due tasks of *groups* that have not expired."""
    return {"state": TaskState.QUEUED, "group": {"$in": list(groups)}, **_unexpired()}


def still_due(task_ids: Sequence[str]) -> Filter:
    """Those of *task_ids* that nobody has taken since they were looked at."""
    return {"_id": {"$in": list(task_ids)}, "state": TaskState.QUEUED, **_unexpired()}


def _unexpired() -> Filter:
    return {"$expr": {"$gt": [{"$ifNull": ["$expires_at", FOREVER]}, NOW]}}


def survey(lanes: Sequence[str], worker_id: str, *, after: str, limit: int) -> Pipeline:
    """What a claimer wants to know beside the order: one row for each line that waits, paused queue and rival.

    A line is the first task of a group; they come by group from *after* on, one index seek each (a distinct scan).
    """
    rivals: Pipeline = [
        {"$match": {"state": TaskState.PROCESSING, "lease.worker_id": {"$ne": worker_id}}},
        {"$sort": {"lease.expires_at": -1}},
        {"$limit": SAMPLED_LEASES},
        {"$group": {"_id": "$lease.worker_id"}},
        {"$limit": MOST_RIVALS},
        {"$project": {"about": "rival"}},
    ]
    paused: Pipeline = [{"$match": {"paused": True}}, {"$project": {"about": "paused"}}]
    lines = [_union(collections.TASKS, _heads_of(lane_key, after, limit)) for lane_key in lanes]
    return [*rivals, _union(collections.QUEUES, paused), *lines]


def _union(collection: str, pipeline: Pipeline) -> dict[str, Any]:
    return {"$unionWith": {"coll": collection, "pipeline": pipeline}}


def _heads_of(lane_key: str, after: str, limit: int) -> Pipeline:
    low = max(f"{lane_key}{SEPARATOR}", after)
    head = {name: {"$first": f"${name}"} for name in ("owner_id", "priority", "limits")}
    # One range of one field: with several, the server reads every key.
    return [
        {"$match": {"state": TaskState.QUEUED, "group": {"$gt": low, "$lt": f"{lane_key}{AFTER_SEPARATOR}"}}},
        {"$sort": {"state": 1, "group": 1, "priority": -1, "queued_at": 1, "_id": 1}},
        {"$group": {"_id": "$group", **head}},
        {"$limit": limit},
        {"$addFields": {"about": "group"}},
    ]


def first_of_each(lines: Sequence[Sequence[str]], limit: int) -> Pipeline:
    """The first *limit* due tasks of each line (groups of one owner), in claim order within each line."""
    first, *others = [_first_of(groups, limit) for groups in lines]
    return [*first, *(_union(collections.TASKS, stages) for stages in others)]


def _first_of(groups: Sequence[str], limit: int) -> Pipeline:
    return [
        {"$match": due_of(groups)},
        {"$sort": dict(CLAIM_ORDER)},
        {"$limit": limit},
        {"$project": CANDIDATE_FIELDS},
    ]


def take(worker_id: str, token: str, lease: timedelta) -> Pipeline:
    """Hold a task under a new lease, and count the attempt now, so that a task that kills its worker cannot loop."""
    held = {"token": literal(token), "worker_id": literal(worker_id), "expires_at": from_now(lease)}
    return [
        {
            "$set": {
                "state": TaskState.PROCESSING,
                "attempt": {"$add": [number("$attempt"), 1]},
                "lease": held,
                "progress": None,
                "expires_at": None,
                "started_at": NOW,
                "updated_at": NOW,
            }
        }
    ]


def running_with(key: str) -> Filter:
    """Tasks that run now and name the limit *key*; served by index tasks_held_limit."""
    return {"state": TaskState.PROCESSING, "limited": True, "limits.key": key}


def bucket(key: str, rate: int, per: timedelta) -> Pipeline:
    """Refill the bucket of the limit *key* by the time that has passed, and mark it, so that its users queue up."""
    per_ms = per / timedelta(milliseconds=1)
    passed = {"$subtract": [NOW, {"$ifNull": ["$refilled_at", NOW]}]}
    grown = {"$add": [{"$ifNull": ["$tokens", float(rate)]}, {"$multiply": [passed, rate / per_ms]}]}
    return [
        {
            "$set": {
                "key": literal(key),
                "tokens": {"$max": [0, {"$min": [float(rate), grown]}]},
                "refilled_at": NOW,
                "used": {"$add": [{"$ifNull": ["$used", 0]}, 1]},
            }
        }
    ]


def unused_limits(age: timedelta) -> Filter:
    """What is remembered of limits that nobody used for *age* and nobody set; served by index limits_idle."""
    return {"override": {"$exists": False}, "$expr": {"$lte": ["$refilled_at", from_now(-age)]}}


def adopt() -> tuple[Filter, Pipeline]:
    """Give tasks that an older release enqueued what this one claims by; served by index tasks_lane while queued."""
    parts = [SEPARATOR, "$handler"]
    lane_of = {"$concat": ["$queue", *parts]}
    named = {name: {"$type": "string"} for name in ("queue", "handler", "owner_id")}
    return {"lane": None} | named, [
        {
            "$set": {
                "lane": lane_of,
                "group": {"$concat": ["$queue", *parts, SEPARATOR, "$owner_id"]},
                "limited": False,
                "limits": [],
                "expires_at": None,
                "attached": "$has_content",
            }
        }
    ]
