"""Queues: whether one is paused, and its counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from appdb.models.base import Document
from appdb.models.tasks import TaskState


# A queue is a name that tasks carry; it needs no document until somebody pauses it.
class StoredQueue(Document):
    """A queue that was paused or resumed, as stored in ``queues``; others have no document."""

    paused: bool
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """One queue at one moment, counted from indexes.

    Args:
        queue: The queue's name.
        paused: Whether it hands out nothing.
        scheduled: Tasks that wait for their time, a retry or their children.
        queued: Tasks that any fitting worker may claim.
        processing: Tasks that a worker holds.
        finished: Tasks that became final within the window, by state.
        oldest_queued_seconds: How long the oldest queued task has been due, by the database's clock.
    """

    queue: str
    paused: bool
    scheduled: int
    queued: int
    processing: int
    finished: dict[TaskState, int]
    oldest_queued_seconds: float | None
