"""Prefetch: workers whose tasks are shorter than a claim take a few ahead and pause the change feed."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appdb import Database, NewTask, Task, TaskEventType, TaskState
from appdemo.host import Host
from appsupport.hosts.live_tasks import OWNER, Tasks
from appsupport.hosts.worker_hosts import HEALTH, WorkerHosts, eventually, value

ACTORS_FOLDER = Path(__file__).parents[1] / "actors"
ACTORS = "probe_actors:noop,probe_actors:work,probe_actors:gate"
SLOTS = 3
MOST_ROUNDS = 5
LONG_LEASES = {"APPWORKER_LEASE": "30", "APPWORKER_HEARTBEAT": "5"}
SHORT = NewTask(owner_id=OWNER, actor="probe.noop", payload={})


@pytest.fixture
def hosts(mongo_uri: str, database: Database, logs: Path) -> Iterator[WorkerHosts]:
    made = WorkerHosts(mongo_uri, database.name, ACTORS_FOLDER, logs)
    yield made
    made.kill_all()


async def in_state(tasks: Tasks, added: list[Task], state: TaskState) -> list[Task]:
    found = [await tasks.get(task) for task in added]
    return [task for task in found if task.state is state]


async def following(host: Host) -> str:
    """Return the address of the metrics of *host* once it follows changes, as it does until a rush."""
    address = await asyncio.to_thread(host.wait_for, HEALTH)
    await asyncio.to_thread(eventually, lambda: value(address, "appworker_feed_live"), 1)
    return address


@asynccontextmanager
async def rush(tasks: Tasks) -> AsyncIterator[None]:
    """Have hundreds of short tasks wait at any time, for the length of the block."""

    async def keep_up() -> None:
        while True:
            if sum(queue.queued for queue in await tasks.queue.stats()) < 2_000:
                await tasks.queue.enqueue_many([SHORT] * 1_000)
            await asyncio.sleep(0.05)

    keeping = asyncio.create_task(keep_up())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_short_tasks_are_prefetched_and_run_once(
    hosts: WorkerHosts, tasks: Tasks, database: Database, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    short = NewTask(owner_id=OWNER, actor="probe.noop", payload={"ledger": str(ledger)})
    ids = await tasks.queue.enqueue_many([short] * 600)
    hosts.start("--actors", ACTORS, "--slots", str(SLOTS), **LONG_LEASES)
    done = [await tasks.until(await tasks.queue.get(one, owner_id=OWNER), lambda task: task.state.final) for one in ids]
    # What one claim took has one token.
    claims = Counter([row["settled"]["token"] async for row in database.collection("tasks").find({}, {"settled": 1})])

    assert {(task.state, task.attempt) for task in done} == {(TaskState.COMPLETED, 1)}
    assert sorted(line.split()[0] for line in ledger.read_text().splitlines()) == sorted(ids)
    assert max(claims.values()) > 2 * SLOTS


async def test_prefetched_task_without_slot_is_released(hosts: WorkerHosts, tasks: Tasks, tmp_path: Path) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "ledger.open"
    await tasks.queue.enqueue_many([SHORT] * 600)
    long = [await tasks.add("probe.gate", ledger=str(ledger)) for _ in range(SLOTS + 4)]
    hosts.start("--actors", ACTORS, "--slots", str(SLOTS), **LONG_LEASES)
    async with asyncio.timeout(30):
        while not ledger.exists() or len(ledger.read_text().splitlines()) < SLOTS:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    begun = {line.split()[0] for line in ledger.read_text().splitlines()}
    held = await in_state(tasks, long, TaskState.PROCESSING)
    waiting = await in_state(tasks, long, TaskState.QUEUED)
    logs = {task.id: [event.type for event in await tasks.queue.events(task.id)] for task in waiting}
    gate.touch()
    done = [await tasks.final(task) for task in long]

    assert {task.id for task in held} == begun
    assert (len(held), len(waiting)) == (SLOTS, 4)
    assert {task.attempt for task in waiting} == {0}
    assert any(logs.values())
    assert {kind for log in logs.values() for kind in log} == {TaskEventType.RELEASED}
    assert {(task.state, task.attempt) for task in done} == {(TaskState.COMPLETED, 1)}


async def test_cancel_arrives_while_feed_is_paused(hosts: WorkerHosts, tasks: Tasks) -> None:
    host = hosts.start("--actors", ACTORS, "--slots", str(SLOTS), **LONG_LEASES)
    address = await following(host)
    paused: list[bool] = []

    # A slow machine may run out of short tasks, and the worker follows changes again: such a round tells nothing.
    while not any(paused) and len(paused) < MOST_ROUNDS:
        paused.append(await cancelled_while_paused(tasks, address, len(paused) + 1))

    assert paused[-1]
    # With nothing left to do it follows changes again, and a new task starts at once.
    await asyncio.to_thread(eventually, lambda: value(address, "appworker_feed_live"), 1, 60)


async def cancelled_while_paused(tasks: Tasks, address: str, nth: int) -> bool:
    """Cancel a task in a rush, check that its attempt ends soon, and return whether the feed stayed paused."""
    cancelled = {"actor": "probe.work", "outcome": "cancelled"}
    long = await tasks.add("probe.work", seconds=25, items=1, ledger=os.devnull)
    await tasks.until(long, lambda found: found.state is TaskState.PROCESSING)
    async with rush(tasks):
        await asyncio.to_thread(eventually, lambda: value(address, "appworker_feed_live"), 0)
        await tasks.queue.cancel(long.id, owner_id=OWNER)
        ended = lambda: value(address, "appworker_run_seconds_count", cancelled)  # noqa: E731
        await asyncio.to_thread(eventually, ended, nth, 1.3)
        paused = value(address, "appworker_feed_live") == 0
    assert (await tasks.get(long)).state is TaskState.CANCELLED
    return paused


async def test_feed_resumes_once_long_tasks_fill_slots(hosts: WorkerHosts, tasks: Tasks, tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    host = hosts.start("--actors", ACTORS, "--slots", str(SLOTS), **LONG_LEASES)
    address = await following(host)
    long = NewTask(owner_id=OWNER, actor="probe.gate", payload={"ledger": ledger}, priority=1)
    async with rush(tasks):
        await asyncio.to_thread(eventually, lambda: value(address, "appworker_feed_live"), 0)
        await tasks.queue.enqueue_many([long] * SLOTS)
        await asyncio.to_thread(eventually, lambda: value(address, "appworker_feed_live"), 1)

    assert value(address, "appworker_running") == SLOTS


async def test_drain_during_busy_streak_leaves_nothing_held(
    hosts: WorkerHosts, tasks: Tasks, database: Database
) -> None:
    host = hosts.start("--actors", ACTORS, "--slots", str(SLOTS), **LONG_LEASES)
    address = await following(host)
    async with rush(tasks):
        await asyncio.to_thread(eventually, lambda: value(address, "appworker_feed_live"), 0)
        host.stop()
    left = database.collection("tasks")

    assert await left.count_documents({"state": TaskState.PROCESSING}) == 0
    assert await left.count_documents({"state": TaskState.QUEUED, "attempt": {"$ne": 0}}) == 0
    assert await left.count_documents({"state": TaskState.COMPLETED, "attempt": {"$ne": 1}}) == 0
    assert await left.count_documents({"state": TaskState.COMPLETED}) > 0
