"""Held tasks, for scenarios of holders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from appdb import Claimer, Lease, NewTask, Task, TaskQueue
from appsupport.scenarios.scenario import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A task, and the right to write to it."""

    task: Task
    lease: Lease


def new_task(stage: Stage, **changes: Any) -> NewTask:
    """Return a task of the stage's owner, in the stage's own queue."""
    fields = {"owner_id": stage.owner, "actor": "echo", "payload": {"text": "hello"}, "queue": stage.queue}
    return NewTask(**(fields | changes))


def claimer(stage: Stage) -> Claimer:
    """Return a claimer of the stage's own queue."""
    return Claimer(worker_id="w1", queues=(stage.queue,), handlers=("echo@1",))


async def queued(stage: Stage) -> str:
    """Make a task that waits, and return its id."""
    return (await TaskQueue(stage.database).enqueue(new_task(stage))).id


async def hold(stage: Stage, **changes: Any) -> Held:
    """Make a task and claim it."""
    queue = TaskQueue(stage.database)
    await queue.enqueue(new_task(stage, **changes))
    (task,) = await queue.claim(claimer(stage))
    return Held(task=task, lease=Lease.of(task))


async def failed(stage: Stage) -> str:
    """Make a task that has failed for good, and return its id."""
    held = await hold(stage)
    await TaskQueue(stage.database).fail(held.lease, "Broken", "no", retry_in=None)
    return held.task.id
