"""The indexes, declared as data: one per access path, partial on the states that the path reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from appdb._schema import collections

ACTOR_RETENTION = timedelta(days=7)
WORKER_RETENTION = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index of one collection; ``options`` go to ``createIndexes`` as they are."""

    collection: str
    name: str
    keys: tuple[tuple[str, int], ...]
    options: dict[str, Any] = field(default_factory=dict)


INDEXES = (
    # Equality, sort: one seek per lane (a queue and a handler), already in claim order. Small: only queued tasks.
    Index(
        collection=collections.TASKS,
        name="tasks_lane",
        keys=(("lane", 1), ("priority", -1), ("queued_at", 1), ("_id", 1)),
        options={"partialFilterExpression": {"state": "queued"}},
    ),
    # One seek per group (a lane, an owner and its limits). The state leads, so that it is no filter of its own: a
    # filter would keep the server from skipping from group to group.
    Index(
        collection=collections.TASKS,
        name="tasks_group",
        keys=(("state", 1), ("group", 1), ("priority", -1), ("queued_at", 1), ("_id", 1)),
        options={"partialFilterExpression": {"state": "queued"}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_held",
        keys=(("lease.expires_at", 1), ("queue", 1)),
        options={"partialFilterExpression": {"state": "processing"}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_held_limit",
        keys=(("limits.key", 1),),
        options={"partialFilterExpression": {"state": "processing", "limited": True}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_scheduled",
        keys=(("run_at", 1), ("queue", 1)),
        options={"partialFilterExpression": {"state": "scheduled"}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_expiring",
        keys=(("expires_at", 1),),
        options={"partialFilterExpression": {"expires_at": {"$type": "date"}}},
    ),
    # What is pruned, and what became final lately.
    Index(
        collection=collections.TASKS,
        name="tasks_finished",
        keys=(("finished_at", 1), ("state", 1), ("queue", 1)),
        options={"partialFilterExpression": {"finished_at": {"$type": "date"}}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_parent",
        keys=(("parent_id", 1), ("_id", 1)),
        options={"partialFilterExpression": {"parent_id": {"$type": "string"}}},
    ),
    Index(
        collection=collections.TASKS,
        name="tasks_unique_key",
        keys=(("owner_id", 1), ("unique_key", 1)),
        options={"unique": True, "partialFilterExpression": {"unique_key": {"$type": "string"}}},
    ),
    Index(collection=collections.TASKS, name="tasks_owner", keys=(("owner_id", 1), ("_id", -1))),
    Index(collection=collections.TASKS, name="tasks_owner_state", keys=(("owner_id", 1), ("state", 1), ("_id", -1))),
    Index(collection=collections.LIMITS, name="limits_idle", keys=(("refilled_at", 1),)),
    Index(collection=collections.TASK_STEPS, name="task_steps_task", keys=(("task_id", 1),)),
    Index(
        collection=collections.TASK_EVENTS,
        name="task_events_log",
        keys=(("task_id", 1), ("seq", 1)),
        options={"unique": True},
    ),
    Index(collection=collections.GENERATIONS, name="generations_task", keys=(("task_id", 1),)),
    Index(
        collection=collections.CONTENTS,
        name="contents_task",
        keys=(("owner_id", 1), ("task_id", 1), ("index", 1), ("_id", 1)),
    ),
    Index(
        collection=collections.CONTENTS,
        name="contents_owner",
        keys=(("owner_id", 1), ("created_at", -1), ("_id", -1)),
    ),
    Index(collection=collections.CONTENTS, name="contents_file", keys=(("file_id", 1),)),
    Index(collection=collections.ACCESS_KEYS, name="access_keys_user", keys=(("user_id", 1),)),
    Index(
        collection=collections.ACTORS,
        name="actors_stale",
        keys=(("seen_at", 1),),
        options={"expireAfterSeconds": int(ACTOR_RETENTION.total_seconds())},
    ),
    Index(
        collection=collections.WORKERS,
        name="workers_stale",
        keys=(("seen_at", 1),),
        options={"expireAfterSeconds": int(WORKER_RETENTION.total_seconds())},
    ),
    # Small and in the order of firing, since no paused schedule is in it.
    Index(
        collection=collections.SCHEDULES,
        name="schedules_due",
        keys=(("next_at", 1),),
        options={"partialFilterExpression": {"enabled": True}},
    ),
    Index(collection=collections.SCHEDULES, name="schedules_owner", keys=(("owner_id", 1), ("name", 1))),
)
