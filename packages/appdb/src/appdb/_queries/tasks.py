"""Queries and updates of ``tasks``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from appdb._queries import task_events as log
from appdb._queries.clock import FOREVER, NOW, changed_now, from_now
from appdb._queries.expressions import array, literal, number
from appdb._queries.filters import by_ids
from appdb._queries.types import Filter, Pipeline, Sort, Update
from appdb.models.task_filters import TaskFilter
from appdb.models.tasks import FINAL_STATES, LABELS, LIVE_STATES, TaskState

# Ids that are derived from a key tell no time.
FINISHED_FIRST: Sort = [("finished_at", 1)]
MAX_KEPT_ERRORS = 10
WITHOUT_LOG = {"tail": 0, "then": 0, "on_end": 0}
"""What a task is to whoever reads it; what follows it concerns only its end."""
CANCELLABLE = dict.fromkeys(("owner_id", "state", "started_at", "attached"), 1)
"""What a cancel of many tasks must know of each."""
REPEATABLE = {"tail": 0, "then": 0}
"""What of a task a replay repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTimes:
    """The durations of a new task, from its enqueue on, and the time at which it is due; ``None`` for none."""

    delay: timedelta
    expires_in: timedelta | None
    unique_for: timedelta | None
    run_at: datetime | None = None

    def from_time(self, now: datetime) -> dict[str, datetime | None]:
        """Return the times of a task that is enqueued at *now*, the server's time."""
        due = self.run_at or now + self.delay
        return {
            "created_at": now,
            "updated_at": now,
            "queued_at": due,
            "run_at": due,
            "expires_at": None if self.expires_in is None else now + self.expires_in,
            "unique_until": None if self.unique_for is None else now + self.unique_for,
        }


def insert(fields: Mapping[str, Any], times: TaskTimes) -> tuple[Filter, Pipeline]:
    """Upsert a new task with the server's times; on a document that is already there it changes nothing."""
    due = from_now(times.delay) if times.run_at is None else times.run_at
    stamped = {
        "created_at": NOW,
        "updated_at": NOW,
        "queued_at": due,
        "run_at": due,
        "expires_at": None if times.expires_in is None else from_now(times.expires_in),
        "unique_until": None if times.unique_for is None else from_now(times.unique_for),
    }
    fresh = {"$mergeObjects": [literal(dict(fields)), stamped]}
    is_new = {"$eq": [{"$type": "$state"}, "missing"]}
    return {"_id": fields["_id"]}, [{"$replaceWith": {"$cond": [is_new, fresh, "$$ROOT"]}}]


def owned(task_id: str, owner_id: str) -> Filter:
    """One task of one owner."""
    return {"_id": task_id, "owner_id": owner_id}


def by_unique_key(owner_id: str, unique_key: str) -> Filter:
    """The task that an owner's key stands for; served by index tasks_unique_key."""
    return {"owner_id": owner_id, "unique_key": _text(unique_key)}


def standing(task_id: str, owner_id: str, unique_key: str | None) -> Filter:
    """The tasks that an id and an owner's key stand for; served by the id and by index tasks_unique_key."""
    by_id = {"_id": task_id}
    return by_id if unique_key is None else {"$or": [by_id, by_unique_key(owner_id, unique_key)]}


def page(owner_id: str, states: Collection[TaskState]) -> Filter:
    """An owner's tasks; served by index tasks_owner_state_newest, whose states the server merges in order."""
    return {"owner_id": owner_id, "state": {"$in": sorted(states or TaskState)}}


def children(task_id: str, owner_id: str) -> Filter:
    """What an owner's task has spawned; served by index tasks_parent."""
    return {"parent_id": _text(task_id), "owner_id": owner_id}


def below(task_ids: Sequence[str], owner_id: str) -> Filter:
    """What an owner's tasks have spawned; served by index tasks_parent."""
    return {"parent_id": {"$in": list(task_ids), "$type": "string"}, "owner_id": owner_id}


def _text(value: str) -> Filter:
    # The index holds texts alone, and the server uses it only for filters that say that they look for one.
    return {"$eq": value, "$type": "string"}


def by_unique_keys(owner_id: str, unique_keys: Collection[str]) -> Filter:
    """The tasks that an owner's keys stand for; served by index tasks_unique_key."""
    return {"owner_id": owner_id, "unique_key": {"$in": sorted(unique_keys), "$type": "string"}}


def released_keys(owner_id: str, unique_keys: Collection[str]) -> Filter:
    """The tasks of an owner's keys, once the keys stand for them no longer; served by index tasks_unique_key."""
    # A missing time means that the key never ends.
    over = {"$lte": [{"$ifNull": ["$unique_until", FOREVER]}, NOW]}
    ended = {"$and": ["$unique_while_live", {"$in": ["$state", sorted(FINAL_STATES)]}]}
    return by_unique_keys(owner_id, unique_keys) | {"$expr": {"$or": [over, ended]}}


def free_key() -> Update:
    """Let a task's key stand for it no longer, so that another task may have it."""
    return {"$unset": {"unique_key": ""}}


def held(task_id: str, token: str) -> Filter:
    """A task, while this token still holds it: the fence of every write of an attempt."""
    # The fence: after another claim the token is a new one, so a late writer matches nothing.
    return {"_id": task_id, "lease.token": token, "state": TaskState.PROCESSING}


def all_held(tokens: Collection[tuple[str, str]], seqs: Mapping[str, int | None] = MappingProxyType({})) -> Filter:
    """Those of many tasks that their tokens still hold, and whose logs are as long as their writers say.

    Args:
        tokens: Ids of tasks, each with its token; a token opens its own tasks alone, and one task may have several.
        seqs: How long the log of a task must be, for those of which it matters.
    """
    alike: dict[tuple[str, int | None], list[str]] = {}
    for task_id, token in tokens:
        alike.setdefault((token, seqs.get(task_id)), []).append(task_id)
    fences = [_fence(found, token, seq) for (token, seq), found in alike.items()]
    if len(fences) == 1:
        return {"state": TaskState.PROCESSING} | fences[0]
    # All ids once more, so that the server goes through one index scan, whatever the number of fences.
    return {"_id": {"$in": [task_id for task_id, _ in tokens]}, "state": TaskState.PROCESSING, "$or": fences}


def _fence(task_ids: list[str], token: str, seq: int | None) -> Filter:
    fence: Filter = {"_id": {"$in": task_ids}, "lease.token": token}
    return fence if seq is None else fence | {"event_count": seq}


def renewed_leases(lease: timedelta) -> Pipeline:
    """Renew leases; ``updated_at`` stays, since nothing that a viewer sees has changed."""
    # A pipeline, since only an expression can add a duration to the server's own time.
    return [{"$set": {"lease.expires_at": from_now(lease)}}]


def lease_expired() -> Filter:
    """Tasks whose holder stopped renewing; served by index tasks_held."""
    return {"state": TaskState.PROCESSING, "$expr": {"$lte": ["$lease.expires_at", NOW]}}


def promotable() -> Filter:
    """Scheduled tasks whose time has come; served by index tasks_scheduled."""
    return {"state": TaskState.SCHEDULED, "$expr": {"$lte": ["$run_at", NOW]}}


def promote() -> Pipeline:
    """Make due tasks claimable, in the order in which they became due."""
    return [{"$set": {"state": TaskState.QUEUED, "queued_at": "$run_at", "updated_at": NOW}}]


def scheduled_by_time(task_id: str, owner_id: str) -> Filter:
    """One task of one owner, while it waits for its time and not for its children."""
    return owned(task_id, owner_id) | {"state": TaskState.SCHEDULED, "waiting": {"$ne": True}}


def run_now() -> Pipeline:
    """Let a scheduled task be claimed at once."""
    return [{"$set": {"state": TaskState.QUEUED, "run_at": NOW, "queued_at": NOW, "updated_at": NOW}}]


def expired() -> Filter:
    """Tasks that no worker claimed in time; served by index tasks_expiring."""
    return {
        "expires_at": {"$type": "date"},
        "state": {"$in": [TaskState.QUEUED, TaskState.SCHEDULED]},
        "$expr": {"$lte": ["$expires_at", NOW]},
    }


def finished_before(age: timedelta) -> Filter:
    """Final tasks older than *age*; served by index tasks_finished."""
    return {"finished_at": {"$type": "date"}, "$expr": {"$lte": ["$finished_at", from_now(-age)]}}


def live(task_id: str, owner_id: str) -> Filter:
    """One task of one owner, while it can still change."""
    return owned(task_id, owner_id) | {"state": {"$in": sorted(LIVE_STATES)}}


def matching(wanted: TaskFilter, states: Collection[TaskState]) -> Filter:
    """The tasks that *wanted* describes, in one of *states*."""
    match: Filter = {"state": {"$in": sorted(states)}}
    for name in ("owner_id", "queue", "actor", *LABELS):
        if (value := getattr(wanted, name)) is not None:
            match[name] = str(value)
    if wanted.except_actors:
        match["$nor"] = [{"actor": {"$in": sorted(wanted.except_actors)}}]
    made = {"$lt": wanted.created_before, "$gte": wanted.created_after}
    if bounds := {operator: value for operator, value in made.items() if value is not None}:
        match["created_at"] = bounds
    return match | ({} if wanted.task_ids is None else by_ids(map(str, wanted.task_ids)))


def logged(
    events: Sequence[Mapping[str, Any]], progress: Mapping[str, Any] | None, changes: Mapping[str, Any]
) -> Pipeline:
    """Append *events* to the log, show *progress*, and set *changes* (expressions; a user's values as ``literal``)."""
    shown = {} if progress is None else {"progress": literal(dict(progress))}
    stored = literal([dict(event) for event in events])
    return [{"$set": log.appended(stored) | shown | {"updated_at": NOW} | dict(changes)}]


def without_dependents() -> Filter:
    """Tasks whose end concerns nobody else: no content, no parent, nothing that follows."""
    return {"attached": {"$ne": True}}


def settle(state: TaskState, result: Mapping[str, Any] | None, error: Mapping[str, Any] | None) -> dict[str, Any]:
    """The changes that end a task."""
    changes: dict[str, Any] = {
        "state": state,
        "lease": None,
        "waiting": False,
        "expires_at": None,
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
    return {"state": TaskState.QUEUED, "lease": None, "attempt": {"$subtract": [number("$attempt"), 1]}}


def makes_content() -> dict[str, Any]:
    """The changes that let a task's end close its generation."""
    return {"has_content": True, "attached": True}


def mark_content() -> Pipeline:
    """Let a task's end close its generation."""
    return [{"$set": makes_content()}]


def suspend() -> dict[str, Any]:
    """The changes that let a task wait for its children, or run again at once when the last has ended meanwhile."""
    # The last child may have ended between the actor's last look and this write.
    waits = {"$gt": [number("$children_open"), 0]}
    return {
        "state": {"$cond": [waits, TaskState.SCHEDULED, TaskState.QUEUED]},
        "waiting": waits,
        "run_at": {"$cond": [waits, FOREVER, NOW]},
        "lease": None,
        "attempt": {"$subtract": [number("$attempt"), 1]},
    }


def touch() -> Pipeline:
    """Change nothing that anybody reads: a fence must be a write, since a read conflicts with nobody."""
    return [{"$set": {"touched_at": changed_now("touched_at")}}]


def child_added() -> Pipeline:
    """Count one more open child."""
    return [{"$set": {"children_open": {"$add": [number("$children_open"), 1]}, "updated_at": NOW}}]


def child_finished(ended: int) -> Pipeline:
    """Count *ended* children as final, and wake the parent when it waited for the last of them."""
    # Never below 0: a restored backup or other software may have left a wrong count.
    left = {"$max": [0, {"$subtract": [number("$children_open"), ended]}]}
    wakes = {"$and": [{"$eq": ["$state", TaskState.SCHEDULED]}, "$waiting", {"$lte": [left, 0]}]}
    woken = {"state": TaskState.QUEUED, "waiting": False, "run_at": NOW, "updated_at": NOW}
    changes = {name: {"$cond": [wakes, value, f"${name}"]} for name, value in woken.items()}
    return [{"$set": changes | {"children_open": left}}]


def settled(token: str, kind: str) -> Filter:
    """What a holder leaves behind when it settles, so that a repeat after a lost answer sees that it had succeeded."""
    return {"settled.token": token, "settled.kind": kind}


def settled_by(token: str, kind: str) -> dict[str, Any]:
    """The change that ``settled`` finds; only a holder makes it, never one who takes the task away."""
    return {"settled": {"token": literal(token), "kind": literal(kind)}}


def live_among(task_ids: Iterable[str]) -> Filter:
    """Those of some tasks that can still change."""
    return by_ids(task_ids) | {"state": {"$in": sorted(LIVE_STATES)}}


def _remember(error: Mapping[str, Any] | None) -> dict[str, Any]:
    if error is None:
        return {"error": None}
    stamped = {"$mergeObjects": [literal(dict(error)), {"at": NOW}]}
    # A task that is retried for days must not grow without bound.
    recent = {"$slice": [{"$concatArrays": [array("$errors"), [stamped]]}, -MAX_KEPT_ERRORS]}
    return {"error": stamped, "errors": recent}
