"""The aggregation behind ``QueueStats``: each of its parts is served by one partial index that holds all it needs."""

from __future__ import annotations

from datetime import timedelta

from appdb._queries.clock import FOREVER, NOW, from_now
from appdb._queries.stages import union
from appdb._queries.task_claims import SEPARATOR
from appdb._queries.types import Pipeline
from appdb._schema import collections
from appdb.models.tasks import TaskState


def by_queue(window: timedelta) -> Pipeline:
    """Rows of queue, ``about`` (a live state, ``finished`` or ``paused``) and count."""
    first, *others = [_queued(), _live(TaskState.SCHEDULED, "run_at"), _live(TaskState.PROCESSING, "lease.expires_at")]
    paused: Pipeline = [{"$match": {"paused": True}}, {"$project": {"_id": 0, "queue": "$_id", "about": "paused"}}]
    return [
        *first,
        *(union(collections.TASKS, pipeline) for pipeline in [*others, _finished(window)]),
        union(collections.QUEUES, paused),
    ]


def _queued() -> Pipeline:
    """Served by index tasks_lane: the queue is the first part of the claim key (stored as `lane`)."""
    queue = {"$arrayElemAt": [{"$split": ["$_id", SEPARATOR]}, 0]}
    age = {"$max": [0, {"$subtract": [NOW, "$oldest"]}]}
    # An expression that fails on one task would hide the counts of all.
    since = {"$cond": [{"$eq": [{"$type": "$queued_at"}, "date"]}, "$queued_at", None]}
    return [
        {"$match": {"state": TaskState.QUEUED, "lane": {"$gte": ""}}},
        {"$group": {"_id": "$lane", "count": {"$sum": 1}, "oldest": {"$min": since}}},
        {"$project": {"_id": 0, "about": TaskState.QUEUED, "queue": queue, "count": 1, "age_ms": age}},
    ]


def _live(state: TaskState, time_field: str) -> Pipeline:
    """Served by index tasks_scheduled or tasks_held."""
    return [
        {"$match": {"state": state, time_field: {"$lte": FOREVER}}},
        {"$group": {"_id": "$queue", "count": {"$sum": 1}}},
        {"$project": {"_id": 0, "about": state, "queue": "$_id", "count": 1}},
    ]


def _finished(window: timedelta) -> Pipeline:
    """Served by index tasks_finished."""
    return [
        {"$match": {"finished_at": {"$type": "date"}, "$expr": {"$gte": ["$finished_at", from_now(-window)]}}},
        {"$group": {"_id": {"queue": "$queue", "state": "$state"}, "count": {"$sum": 1}}},
        {"$project": {"_id": 0, "about": "finished", "queue": "$_id.queue", "state": "$_id.state", "count": 1}},
    ]
