"""Examples of documents of the queue and the registry."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from appdb import Progress, TaskEvent, TaskEventType, TaskState
from appdb._schema import collections
from appdb.models import CatchUp, RegisteredActor, Schedule, TaskLease, Worker
from appdb.models.limits import LimitOverride, StoredLimit, TokenBucket
from appdb.models.queues import StoredQueue
from appdb.models.task_events import EventBatch, LoggedEvent
from appdb.models.task_steps import TaskStep
from appdb.models.tasks import Settlement, TaskDocument
from appdb.utils import derived_id
from appsupport.documents.example import BRANCH, LIMIT, MADE, RUN, TASK, USER, Example, at

QUEUE = (
    Example(
        collection=collections.TASKS,
        what="One unit of work with its newest events, its lease, its latest progress and its outcome.",
        model=TaskDocument,
        values=MADE
        | {
            "id": TASK,
            "actor": "render",
            "actor_version": 1,
            "queue": "default",
            "payload": {"scene": 1},
            "priority": 0,
            "state": TaskState.PROCESSING,
            "attempt": 1,
            "max_attempts": 3,
            "timeout_seconds": 600.0,
            "unique_key": "scene-1",
            "limits": [LIMIT],
            "lease": TaskLease(token="5d9c7c1e8a1b4f0fb2c6d3e4f5a60718", worker_id="worker-1", expires_at=at(42)),
            "progress": Progress(fraction=0.5, message="drawing"),
            "result": None,
            "error": None,
            "errors": [],
            "event_count": 130,
            "updated_at": at(12),
            "run_at": at(),
            "expires_at": None,
            "started_at": at(2),
            "finished_at": None,
            "parent_id": None,
            "children_open": 0,
            "waiting": False,
            "replay_of": None,
            "run_id": RUN,
            "branch_id": BRANCH,
            "step": "draw",
            "module": "scenes",
            "sub_action_id": "scene-1",
            "interaction_id": None,
            "ancestor_runs": [],
            "cause_id": None,
            "claim_key": "default\x1frender@1",
            "fairness_key": f"default\x1frender@1\x1f{USER}\x1fprovider:local 2 60 60.0",
            "limited": True,
            "queued_at": at(),
            "unique_until": at(days=1),
            "unique_while_live": False,
            "has_content": True,
            "has_dependents": True,
            "then": [],
            "on_end": [],
            "recent_events": [
                EventBatch(
                    first=129,
                    at=at(12),
                    attempt=1,
                    events=[LoggedEvent(type=TaskEventType.PROGRESS, data={"fraction": 0.5, "message": "drawing"})],
                )
            ],
            "settled": Settlement(token="5d9c7c1e8a1b4f0fb2c6d3e4f5a60718", kind=""),
            "commit": "1f7dd363f6f4b766",
            "touched_at": at(12),
            "reserved": Decimal("0.04"),
            "handler": None,
        },
    ),
    Example(
        collection=collections.TASK_EVENTS,
        what="An older event of a task's log, moved out of the task.",
        model=TaskEvent,
        values={
            "id": f"{TASK}:0",
            "task_id": TASK,
            "seq": 0,
            "type": TaskEventType.STARTED,
            "attempt": 1,
            "at": at(2),
            "data": {"attempt": 1, "worker_id": "worker-1"},
        },
    ),
    Example(
        collection=collections.TASK_STEPS,
        what="What a step of an actor gave, for later attempts.",
        model=TaskStep,
        values={
            "id": derived_id("st_", TASK, "outline"),
            "task_id": TASK,
            "key": "outline",
            "value": {"scenes": 3},
        },
    ),
    Example(
        collection=collections.QUEUES,
        what="A queue that was paused or resumed; others have no document.",
        model=StoredQueue,
        values={"id": "nightly", "paused": True, "updated_at": at()},
    ),
    Example(
        collection=collections.LIMITS,
        what="A limit: what operators set, and the tokens of each rate (`tokens` itself is for release 0.3).",
        model=StoredLimit,
        values={
            "id": "provider:local",
            "key": "provider:local",
            "override": LimitOverride(concurrency=LIMIT.concurrency, rate=LIMIT.rate, per_seconds=LIMIT.per_seconds),
            "buckets": [TokenBucket(rate=60, per_seconds=LIMIT.per_seconds, tokens=59.0)],
            "buckets_at": at(),
            "tokens": 59.0,
            "refilled_at": at(),
            "full_at": at(seconds=1),
            "used": 1,
        },
    ),
    Example(
        collection=collections.SCHEDULES,
        what="A cron expression in a time zone, and the task that each tick enqueues.",
        model=Schedule,
        values={
            "id": derived_id("sch_", USER, "news"),
            "owner_id": USER,
            "name": "news",
            "cron": "30 6 * * MON-FRI",
            "time_zone": "Europe/Berlin",
            "actor": "render",
            "actor_version": 1,
            "payload": {"scene": 1},
            "queue": "default",
            "priority": 0,
            "max_attempts": 3,
            "timeout_seconds": None,
            "catch_up": CatchUp.LATEST,
            "enabled": True,
            "next_at": datetime(2026, 3, 16, 5, 30, tzinfo=UTC),
            "last_tick": None,
        },
    ),
    Example(
        collection=collections.ACTORS,
        what="An actor that some worker announced; it outlives its workers by a week.",
        model=RegisteredActor,
        values={
            "id": "render",
            "version": 1,
            "queue": "default",
            "description": "Draw a scene.",
            "payload_schema": {"type": "object", "properties": {"scene": {"type": "integer"}}},
            "max_attempts": 3,
            "timeout_seconds": 600.0,
            "limits": [LIMIT],
            "seen_at": at(),
        },
    ),
    Example(
        collection=collections.WORKERS,
        what="A worker process that lives.",
        model=Worker,
        values={
            "id": "worker-1",
            "host": "render-7",
            "pid": 4711,
            "queues": ["default"],
            "actors": ["render@1"],
            "slots": 4,
            "providers": ["local"],
            "started_at": at(),
            "seen_at": at(10),
        },
    ),
)
