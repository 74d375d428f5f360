"""What we ask of ``tasks``: each function returns a filter, an update pipeline, or both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from appdb._queries.clock import NOW, from_now, literal
from appdb.models.task import LIVE_STATES, TaskState

Filter = dict[str, Any]
Pipeline = list[dict[str, Any]]
Sort = list[tuple[str, int]]

# Served by index tasks_claim.
CLAIM_ORDER: Sort = [("priority", -1), ("queued_at", 1), ("_id", 1)]
NEWEST_FIRST: Sort = [("_id", -1)]
MAX_KEPT_ERRORS = 10


def insert(fields: Mapping[str, Any], delay: timedelta) -> tuple[Filter, Pipeline]:
    """Upsert a new task with the server's times; on a document that is already there it changes nothing."""
    times = {"created_at": NOW, "updated_at": NOW, "queued_at": from_now(delay), "run_at": from_now(delay)}
    fresh = {"$mergeObjects": [literal(dict(fields)), times]}
    is_new = {"$eq": [{"$type": "$state"}, "missing"]}
    return {"_id": fields["_id"]}, [{"$replaceWith": {"$cond": [is_new, fresh, "$$ROOT"]}}]


def owned(task_id: str, owner_id: str) -> Filter:
    """One task of one owner."""
    return {"_id": task_id, "owner_id": owner_id}


def by_unique_key(owner_id: str, unique_key: str) -> Filter:
    """The task that an owner's key stands for; served by index tasks_unique_key."""
    return {"owner_id": owner_id, "unique_key": unique_key}


def page(owner_id: str, states: Collection[TaskState], before: str | None) -> Filter:
    """An owner's tasks, older than the cursor *before*; served by index tasks_owner or tasks_owner_state."""
    match: Filter = {"owner_id": owner_id}
    if states:
        match["state"] = {"$in": sorted(states)}
    if before is not None:
        match["_id"] = {"$lt": before}
    return match


def claimable(queues: Sequence[str], handlers: Sequence[str]) -> Filter:
    """Due tasks in *queues* that the claimer declares; the state must be an equality for the partial index to serve."""
    return {"state": TaskState.QUEUED, "queue": {"$in": list(queues)}, "handler": {"$in": list(handlers)}}


def take(worker_id: str, token: str, lease: timedelta) -> Pipeline:
    """Hold a task under a new lease, and count the attempt now, so that a task that kills its worker cannot loop."""
    held = {"token": literal(token), "worker_id": literal(worker_id), "expires_at": from_now(lease)}
    return [
        {
            "$set": {
                "state": TaskState.PROCESSING,
                "attempt": {"$add": ["$attempt", 1]},
                "lease": held,
                "progress": None,
                "started_at": NOW,
                "updated_at": NOW,
            }
        }
    ]


def held(task_id: str, token: str) -> Filter:
    """A task, while this token still holds it: the fence of every write of an attempt."""
    return {"_id": task_id, "lease.token": token, "state": TaskState.PROCESSING}


def all_held(tokens: Mapping[str, str]) -> Filter:
    """Those of many tasks (id to token) that some of these tokens still hold."""
    return {
        "_id": {"$in": list(tokens)},
        "lease.token": {"$in": sorted(set(tokens.values()))},
        "state": TaskState.PROCESSING,
    }


def extend(lease: timedelta) -> Pipeline:
    """Renew leases; ``updated_at`` stays, since nothing that a viewer sees has changed."""
    return [{"$set": {"lease.expires_at": from_now(lease)}}]


def expired() -> Filter:
    """Tasks whose holder stopped renewing; served by index tasks_leases."""
    return {"state": TaskState.PROCESSING, "$expr": {"$lte": ["$lease.expires_at", NOW]}}


def due() -> Filter:
    """Scheduled tasks whose time has come; served by index tasks_due."""
    return {"state": TaskState.SCHEDULED, "$expr": {"$lte": ["$run_at", NOW]}}


def promote() -> Pipeline:
    """Make due tasks claimable, in the order in which they became due."""
    return [{"$set": {"state": TaskState.QUEUED, "queued_at": "$run_at", "updated_at": NOW}}]


def live(task_id: str, owner_id: str) -> Filter:
    """One task of one owner, while it can still change."""
    return owned(task_id, owner_id) | {"state": {"$in": sorted(LIVE_STATES)}}


def logged(events: int, changes: Mapping[str, Any] | None = None) -> Pipeline:
    """Number *events* more events, and set *changes* (expressions; a user's values must come as ``literal``)."""
    numbered = {"event_count": {"$add": ["$event_count", events]}, "updated_at": NOW}
    return [{"$set": numbered | dict(changes or {})}]


def settle(state: TaskState, result: Mapping[str, Any] | None, error: Mapping[str, Any] | None) -> dict[str, Any]:
    """The changes that end a task."""
    changes: dict[str, Any] = {
        "state": state,
        "lease": None,
        "finished_at": NOW,
        "result": literal(dict(result) if result is not None else None),
    }
    return changes | _remember(error)


def reschedule(delay: timedelta, error: Mapping[str, Any]) -> dict[str, Any]:
    """The changes that send a task to another attempt after *delay*."""
    again: dict[str, Any] = {
        "state": TaskState.SCHEDULED if delay else TaskState.QUEUED,
        "lease": None,
        "run_at": from_now(delay),
        "queued_at": from_now(delay),
    }
    return again | _remember(error)


def hand_back() -> dict[str, Any]:
    """The changes that give a task back as if it had not been claimed: the attempt does not count."""
    return {
        "state": TaskState.QUEUED,
        "lease": None,
        "attempt": {"$subtract": ["$attempt", 1]},
        "queued_at": "$queued_at",
    }


def settled(token: str, kind: str) -> Filter:
    """What a holder leaves behind when it settles, so that a repeat after a lost answer sees that it had succeeded."""
    return {"settled.token": token, "settled.kind": kind}


def settled_by(token: str, kind: str) -> dict[str, Any]:
    """The change that ``settled`` finds; only a holder makes it, never one who takes the task away."""
    return {"settled": {"token": literal(token), "kind": literal(kind)}}


def ids(task_ids: Iterable[str]) -> Filter:
    """Tasks by id."""
    return {"_id": {"$in": list(task_ids)}}


def _remember(error: Mapping[str, Any] | None) -> dict[str, Any]:
    if error is None:
        return {"error": None}
    stamped = {"$mergeObjects": [literal(dict(error)), {"at": NOW}]}
    recent = {"$slice": [{"$concatArrays": ["$errors", [stamped]]}, -MAX_KEPT_ERRORS]}
    return {"error": stamped, "errors": recent}
