"""An attempt that was claimed ahead, while it waits for its slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import cast

import pytest
from pydantic import BaseModel, SecretStr

from appdb import ChangeFeed, Claimer, Database, Task, TaskState
from appdb.host import GuardFacts, LeaseGuard, LeaseRenewer
from appsupport.hosts.live_tasks import OWNER, Tasks
from appworker import Actor, ActorContext, actor
from appworker.attempt.attempt import Attempt
from appworker.attempt.attempt_runner import AttemptRunner
from appworker.attempt.services import AttemptServices
from appworker.execution.stop import StopReason
from appworker.worker.slots import Slots

CLAIMER = Claimer(worker_id="w", queues=("default",), handlers=("waits@1",))
SOON = timedelta(seconds=5)
STARTED: list[str] = []


class Nothing(BaseModel):
    """No input."""


@actor("waits")
async def waits(context: ActorContext, _payload: Nothing) -> None:
    """Tell that it started."""
    STARTED.append(context.task_id)


WAITS = cast("Actor[BaseModel]", waits)


class Hall:
    """A hall in which attempts wait for its only slot, which is taken."""

    def __init__(self, database: Database, tasks: Tasks) -> None:
        self.queue = tasks.queue
        self.feed = ChangeFeed(database, events=False)
        heartbeat = timedelta(seconds=5)
        facts = GuardFacts(
            uri=SecretStr("mongodb://nowhere"), database=database.name, lease=self.queue.lease, heartbeat=heartbeat
        )
        self.guard = LeaseGuard(facts)
        self.lease_renewer = LeaseRenewer(self.queue, self.feed, self.guard, heartbeat)
        self.attempt_runner = AttemptRunner(self.lease_renewer)
        self.slots = Slots(1, lambda: None)
        self.occupied = self.slots.request()
        self.services = AttemptServices.of(database, self.queue)

    def request(self, task: Task) -> tuple[Attempt, asyncio.Task[None]]:
        attempt = Attempt(task, self.services, claimed_at=time.monotonic())
        return attempt, asyncio.create_task(self.attempt_runner.run(attempt, WAITS, self.slots.request()))


@pytest.fixture
async def hall(database: Database, tasks: Tasks) -> AsyncIterator[Hall]:
    made = Hall(database, tasks)
    duties = [asyncio.create_task(duty.run()) for duty in (made.feed, made.lease_renewer)]
    with made.feed.subscribe("any") as opened:
        assert await opened.wait(SOON)
    yield made
    for duty in duties:
        duty.cancel()
    await asyncio.gather(*duties, return_exceptions=True)
    await made.attempt_runner.close()
    made.guard.close()


async def claimed(tasks: Tasks) -> Task:
    await tasks.add("waits")
    (task,) = await tasks.queue.claim(CLAIMER)
    return task


async def test_attempt_cancelled_while_waiting_does_not_start(hall: Hall, tasks: Tasks) -> None:
    task = await claimed(tasks)
    attempt, performing = hall.request(task)
    await asyncio.sleep(0)
    await tasks.queue.cancel(task.id, owner_id=OWNER)
    async with asyncio.timeout(SOON.total_seconds()):
        while attempt.stop.reason is None and not performing.done():
            await asyncio.sleep(0.001)
    hall.occupied.free()
    await performing

    assert attempt.stop.reason is StopReason.LEASE_LOST
    assert task.id not in STARTED
    assert (hall.slots.busy, len(hall.lease_renewer)) == (0, 0)


async def test_attempt_without_slot_is_released_uncounted(hall: Hall, tasks: Tasks) -> None:
    task = await claimed(tasks)
    _, performing = hall.request(task)
    await performing
    back = await tasks.get(task)

    assert (back.state, back.attempt, back.lease) == (TaskState.QUEUED, 0, None)
    assert task.id not in STARTED
    assert (hall.slots.busy, len(hall.lease_renewer)) == (1, 0)


async def test_attempt_with_slot_runs(hall: Hall, tasks: Tasks) -> None:
    task = await claimed(tasks)
    _, performing = hall.request(task)
    hall.occupied.free()
    await performing

    assert (await tasks.get(task)).state is TaskState.COMPLETED
    assert STARTED.count(task.id) == 1
    assert (hall.slots.busy, len(hall.lease_renewer)) == (0, 0)
