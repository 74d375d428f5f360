"""A worker with eight tasks that is told to stop."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from appdb import Task, TaskState
from appsupport.faults.worker_fleet import NOISE_SECONDS, Fleet, signal_to

pytest_plugins = ["appsupport.faults.worker_fleet_fixture"]
pytestmark = pytest.mark.short
SLOTS = 8
GRACE_SECONDS = 2.0
HAND_BACK_SECONDS = 6.0
"""What a worker may need for its last writes once the grace is over."""


async def all_running(fleet: Fleet, tasks: list[Task]) -> None:
    """Return when every task has reported progress, so that its actor is at work."""
    async with asyncio.timeout(30):
        while not all([(await fleet.get(task)).progress for task in tasks]):
            await asyncio.sleep(0.05)


async def test_drain_finishes_short_and_releases_long(fleet: Fleet) -> None:
    worker = fleet.start(slots=SLOTS, APPWORKER_DRAIN=str(GRACE_SECONDS))
    short = [await fleet.add(seconds=1.2, steps=12, items=1) for _ in range(SLOTS // 2)]
    long = [await fleet.add(seconds=60, steps=600, items=1) for _ in range(SLOTS - SLOTS // 2)]
    await all_running(fleet, [*short, *long])
    signal_to(worker, signal.SIGTERM)
    told_at = time.monotonic()
    waiting = [await fleet.add(seconds=0.1) for _ in range(4)]
    code = await asyncio.to_thread(worker.process.wait, 60)
    took = time.monotonic() - told_at
    facts = await fleet.ledger.check()

    assert code == 0
    assert took <= GRACE_SECONDS + HAND_BACK_SECONDS + NOISE_SECONDS
    assert {facts.tasks[task.id]["state"] for task in short} == {TaskState.COMPLETED}
    assert {(facts.tasks[task.id]["state"], facts.tasks[task.id]["attempt"]) for task in long} == {("queued", 0)}
    assert {facts.events[task.id][-1]["type"] for task in long} == {"released"}
    assert {(facts.tasks[task.id]["state"], facts.tasks[task.id]["attempt"]) for task in waiting} == {("queued", 0)}
    assert not {note.task_id for note in facts.notes} & {task.id for task in waiting}
    assert await fleet.database.collection("workers").count_documents({}) == 0


async def test_second_signal_releases_everything_at_once(fleet: Fleet) -> None:
    worker = fleet.start(slots=SLOTS, APPWORKER_DRAIN="120")
    tasks = [await fleet.add(seconds=60, steps=600) for _ in range(SLOTS)]
    await all_running(fleet, tasks)
    signal_to(worker, signal.SIGTERM)
    await asyncio.to_thread(worker.wait_for, r'"event": "(draining)"')
    signal_to(worker, signal.SIGTERM)
    told_at = time.monotonic()
    code = await asyncio.to_thread(worker.process.wait, 60)
    took = time.monotonic() - told_at
    facts = await fleet.ledger.check()

    assert code == 0
    assert took <= HAND_BACK_SECONDS + NOISE_SECONDS
    assert {(task["state"], task["attempt"]) for task in facts.tasks.values()} == {("queued", 0)}


async def test_released_tasks_finish_with_all_attempts_left(fleet: Fleet) -> None:
    worker = fleet.start(slots=SLOTS, APPWORKER_DRAIN="0")
    tasks = [await fleet.add(seconds=1.5, steps=15, items=2, max_attempts=1) for _ in range(SLOTS)]
    await all_running(fleet, tasks)
    signal_to(worker, signal.SIGTERM)
    await asyncio.to_thread(worker.process.wait, 60)
    fleet.start(slots=SLOTS)
    await fleet.ledger.settle(60)
    facts = await fleet.ledger.check()

    assert {(task["state"], task["attempt"]) for task in facts.tasks.values()} == {("completed", 1)}
