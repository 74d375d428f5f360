"""Queries of claims on ``tasks``: due tasks, their groups and competitors, and the update that takes a task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from appdb._queries.clock import FOREVER, NOW, from_now
from appdb._queries.expressions import literal, number
from appdb._queries.stages import union
from appdb._queries.types import Filter, Pipeline, Sort
from appdb._schema import collections
from appdb.models.limits import TaskLimit
from appdb.models.tasks import TaskState

# Served by index tasks_lane, and within one group by tasks_group.
CLAIM_ORDER: Sort = [("priority", -1), ("queued_at", 1), ("_id", 1)]
HEAD_FIELDS = ("owner_id", "priority", "queued_at", "limits")
CANDIDATE_FIELDS = dict.fromkeys(HEAD_FIELDS, 1)
SEPARATOR = "\x1f"
"""Stands between the names that make up a key; no name may hold it."""
AFTER_SEPARATOR = "\x20"
SAMPLED_LEASES = 64
"""The newest leases of others tell who the competitors are; one's own, which may be newer, do not count."""
MAX_COMPETITORS = 16
FIRST_TASKS = 8
"""How many tasks a queue snapshot looks at in plain order, to see who has the highest priority."""


def claim_key(queue: str, handler: str) -> str:
    """Return the claim key: what one handler may take from one queue."""
    return f"{queue}{SEPARATOR}{handler}"


def fairness_key(key: str, owner_id: str, limits: Iterable[TaskLimit]) -> str:
    """Return the fairness key: it groups the tasks of one claim key and one owner that have the same limits."""
    # Sorted, since the order in which a task names its limits means nothing.
    named = sorted(f"{limit.key} {limit.concurrency} {limit.rate} {limit.per_seconds}" for limit in limits)
    return SEPARATOR.join([key, owner_id, *named])


def due(claim_keys: Sequence[str]) -> Filter:
    """Due tasks of *claim_keys* that have not expired; the state must be an equality for the partial index to serve."""
    return {"state": TaskState.QUEUED, "lane": {"$in": list(claim_keys)}, **_unexpired()}


def free(claim_keys: Sequence[str]) -> Filter:
    """Those of ``due`` that one atomic operation may take, since no limit has to be looked at."""
    return due(claim_keys) | {"limited": False}


def due_of(groups: Sequence[str]) -> Filter:
    """Due tasks of *groups* that have not expired."""
    return {"state": TaskState.QUEUED, "group": {"$in": list(groups)}, **_unexpired()}


def still_due(task_ids: Sequence[str]) -> Filter:
    """Those of *task_ids* that nobody has taken since they were looked at."""
    return {"_id": {"$in": list(task_ids)}, "state": TaskState.QUEUED, **_unexpired()}


def _unexpired() -> Filter:
    return {"$expr": {"$gt": [{"$ifNull": ["$expires_at", FOREVER]}, NOW]}}


def queue_snapshot(
    claim_keys: Sequence[str], open_keys: Sequence[str], worker_id: str, *, after: str, limit: int
) -> Pipeline:
    """One row per waiting group (its first task), paused queue and competing worker, and the first tasks of all.

    The first *limit* groups after the group *after* come in their order, one index seek each (a distinct scan),
    whichever of *claim_keys* they are in. The first tasks under *open_keys* are shown as well: however many groups
    wait, each look sees those with the highest priority.
    """
    # Fair shares are per worker (decision 0007), so a claimer must know whether others claim at all.
    competitors: Pipeline = [
        {"$match": {"state": TaskState.PROCESSING, "lease.worker_id": {"$ne": worker_id}}},
        {"$sort": {"lease.expires_at": -1}},
        {"$limit": SAMPLED_LEASES},
        {"$group": {"_id": "$lease.worker_id"}},
        {"$limit": MAX_COMPETITORS},
        {"$project": {"about": "competitor"}},
    ]
    paused: Pipeline = [{"$match": {"paused": True}}, {"$project": {"about": "paused"}}]
    stages = [*competitors, union(collections.QUEUES, paused)]
    if open_keys:
        stages.append(union(collections.TASKS, _first_in(open_keys)))
    if of_keys := [_heads_of(key, after, limit) for key in sorted(claim_keys) if after < _end_of(key)]:
        first, *others = of_keys
        more = [union(collections.TASKS, heads) for heads in others]
        stages.append(union(collections.TASKS, [*first, *more, {"$limit": limit}]))
    return stages


def _first_in(claim_keys: Sequence[str]) -> Pipeline:
    shown = dict.fromkeys(HEAD_FIELDS, 1)
    return [
        {"$match": {"state": TaskState.QUEUED, "lane": {"$in": list(claim_keys)}}},
        {"$sort": dict(CLAIM_ORDER)},
        {"$limit": FIRST_TASKS},
        {"$project": shown | {"_id": "$group", "about": "first"}},
    ]


def _heads_of(key: str, after: str, limit: int) -> Pipeline:
    low = max(f"{key}{SEPARATOR}", after)
    head = {name: {"$first": f"${name}"} for name in HEAD_FIELDS}
    # One range of one field: with several, the server reads every key.
    return [
        {"$match": {"state": TaskState.QUEUED, "group": {"$gt": low, "$lt": _end_of(key)}}},
        {"$sort": {"state": 1, "group": 1, "priority": -1, "queued_at": 1, "_id": 1}},
        {"$group": {"_id": "$group", **head}},
        {"$limit": limit},
        {"$addFields": {"about": "head"}},
    ]


def _end_of(key: str) -> str:
    return f"{key}{AFTER_SEPARATOR}"


def first_of_each(by_owner: Sequence[Sequence[str]], limit: int) -> Pipeline:
    """The first *limit* due tasks of each owner, in claim order; *by_owner* lists the groups of each."""
    first, *others = [_first_of(groups, limit) for groups in by_owner]
    return [*first, *(union(collections.TASKS, stages) for stages in others)]


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


def running_under(keys: Sequence[str]) -> Pipeline:
    """How many tasks run under each of the limits *keys*, and the smallest concurrency that one of them carries;
    served by index tasks_held_limit."""
    named = {"limits.key": {"$in": list(keys)}}
    # A task may carry two limits of one key, and counts once.
    concurrency = "$limits.concurrency"
    counts = {"$and": [{"$isNumber": concurrency}, {"$gte": [concurrency, 1]}]}  # other software may write anything
    narrowest = {"$min": {"$cond": [counts, concurrency, None]}}
    each = {"_id": {"key": "$limits.key", "task_id": "$_id"}, "narrowest": narrowest}
    return [
        {"$match": {"state": TaskState.PROCESSING, "limited": True, **named}},
        {"$project": {"limits": 1}},
        {"$unwind": "$limits"},
        {"$match": named},
        # First by task and key, so that a task with two limits of one key counts once.
        {"$group": each},
        {"$group": {"_id": "$_id.key", "running": {"$sum": 1}, "narrowest": {"$min": "$narrowest"}}},
        {"$addFields": {"about": "running"}},
    ]


def fill_claim_keys() -> tuple[Filter, Pipeline]:
    """Give tasks that an older release enqueued what this one claims by; served by index tasks_lane while queued."""
    parts = [SEPARATOR, "$handler"]
    claim_key = {"$concat": ["$queue", *parts]}
    named = {name: {"$type": "string"} for name in ("queue", "handler", "owner_id")}
    return {"lane": None} | named, [
        {
            "$set": {
                "lane": claim_key,
                "group": {"$concat": ["$queue", *parts, SEPARATOR, "$owner_id"]},
                "limited": False,
                "limits": [],
                "expires_at": None,
                "attached": "$has_content",
            }
        }
    ]
