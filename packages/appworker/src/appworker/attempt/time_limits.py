"""Time limits of an attempt: how long its actor may run, and how long its lease is worth renewing."""

from __future__ import annotations

import time
from datetime import timedelta

from pydantic import BaseModel

from appdb import Task
from appdb.models import MAX_DURATION
from appworker.actors.base import Actor

SPARE = timedelta(seconds=15)
"""How long after its timeout an attempt may still be stopped and settled, while its lease is renewed."""


def timeout_of(task: Task, actor: Actor[BaseModel]) -> timedelta:
    """Return how long an attempt of *task* may run: the task's own limit, else the actor's."""
    seconds = task.timeout_seconds
    return actor.timeout if seconds is None else timedelta(seconds=min(seconds, MAX_DURATION.total_seconds()))


def renewed_until(task: Task, actor: Actor[BaseModel]) -> float:
    """Return until when, by the monotonic clock, the lease of an attempt that begins now is worth renewing."""
    return time.monotonic() + (timeout_of(task, actor) + SPARE).total_seconds()
