"""Workers that are killed at random points, and workers that freeze for longer than their lease."""

from __future__ import annotations

import asyncio
import random
import signal
from datetime import datetime, timedelta

import pytest

from appdb import Task, TaskState
from appsupport.faults.ledger_facts import Facts, steps, token_of
from appsupport.faults.worker_fleet import (
    LEASE_SECONDS,
    NOISE_SECONDS,
    RECOVER_SECONDS,
    Fleet,
    rounds,
    seeded,
    signal_to,
)

pytest_plugins = ["appsupport.faults.worker_fleet_fixture"]
pytestmark = pytest.mark.timeout(3600)
KINDS = ["fault.task", "fault.thread", "fault.process"]
LONGEST_TASK = 1.5
REDELIVERY = timedelta(seconds=LEASE_SECONDS + RECOVER_SECONDS + NOISE_SECONDS)


async def keep_busy(fleet: Fleet, chance: random.Random) -> list[Task]:
    """Add tasks of all lengths, some with content, some that fail at first."""
    return [
        await fleet.add(
            actor=chance.choice(["fault.task", *KINDS]),
            # Whoever is killed is killed with an attempt counted, so a task must survive many.
            max_attempts=100,
            seconds=chance.uniform(0, LONGEST_TASK),
            steps=chance.randint(1, 5),
            items=chance.choice([0, 0, 2]),
            failures=chance.choice([0, 0, 0, 1]),
        )
        for _ in range(8)
    ]


async def held_by(fleet: Fleet, pid: int) -> list[str]:
    """Return the tasks that the worker with this process id holds."""
    worker = await fleet.database.collection("workers").find_one({"pid": pid})
    held = {"lease.worker_id": worker["_id"] if worker else None, "state": "processing"}
    return [row["_id"] async for row in fleet.database.collection("tasks").find(held, {"_id": 1})]


def next_claim(facts: Facts, task_id: str, after: datetime) -> datetime | None:
    """Return when a task was claimed again, by the server's clock."""
    for step in steps(facts.history):
        task = step.after
        if step.task_id == task_id and task and token_of(task) not in (None, token_of(step.before)):
            claimed: datetime = task["updated_at"]
            if claimed > after:
                return claimed
    return None


@pytest.mark.short
async def test_killed_workers_lose_no_task(fleet: Fleet) -> None:
    chance = seeded()
    workers = [fleet.start(), fleet.start()]
    kills: list[tuple[datetime, str]] = []
    for _ in range(rounds(short=8)):
        await keep_busy(fleet, chance)
        await asyncio.sleep(chance.uniform(0, 1.2))
        victim = workers.pop(0)
        killed_at = await fleet.database.server_time()
        signal_to(victim, signal.SIGKILL)
        await asyncio.sleep(0.3)  # its last command may still be on its way, and end a task
        kills += [(killed_at, task_id) for task_id in await held_by(fleet, victim.process.pid)]
        workers.append(fleet.start())
    await fleet.ledger.settle(120)
    facts = await fleet.ledger.check()

    assert {task["state"] for task in facts.tasks.values()} == {TaskState.COMPLETED}
    assert kills, "no kill met a running task"
    for killed_at, task_id in kills:
        again = next_claim(facts, task_id, killed_at)
        assert again is not None, f"task {task_id} was held by a killed worker and not claimed again"
        story = [(event["type"], event["attempt"], event["at"].isoformat()) for event in facts.events[task_id]]
        assert again - killed_at <= REDELIVERY, f"task {task_id} waited {again - killed_at} after the kill: {story}"


@pytest.mark.short
async def test_thawed_worker_without_lease_is_refused(fleet: Fleet) -> None:
    fleet.start()
    fleet.start()
    thawed = []
    for number in range(rounds(short=3)):
        # Steps short enough that a write is on its way whenever the worker freezes.
        task = await fleet.add(actor=KINDS[number % len(KINDS)], seconds=4, steps=80, items=40)
        async with asyncio.timeout(30):
            while not ((found := await fleet.get(task)).progress and found.progress.fraction > 0.1):
                await asyncio.sleep(0.02)
        zombie = await fleet.holder(task)
        assert zombie is not None
        signal_to(zombie, signal.SIGSTOP)
        async with asyncio.timeout(LEASE_SECONDS + RECOVER_SECONDS + 30):
            while (await fleet.get(task)).attempt < 2:
                await asyncio.sleep(0.05)
        signal_to(zombie, signal.SIGCONT)
        await fleet.ledger.settle(60)
        await asyncio.to_thread(
            zombie.wait_for, f'("an attempt was stopped".*{task.id})|({task.id}.*"an attempt was stopped")'
        )
        thawed.append(task)
    facts = await fleet.ledger.check()

    assert {facts.tasks[task.id]["state"] for task in thawed} == {TaskState.COMPLETED}
    assert {facts.tasks[task.id]["attempt"] for task in thawed} == {2}
    assert len(fleet.running()) == 2
    for task in thawed:
        begun = [event["attempt"] for event in facts.events[task.id] if event["type"] == "started"]
        assert begun == [1, 2]
        assert {row["attempt"] for row in facts.contents if row["task_id"] == task.id} == {2}
