"""Maintenance by one host: delayed tasks start on time, and after an outage no task is recovered at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from appdb import (
    ChangeFeed,
    Claimer,
    Database,
    Lease,
    NewTask,
    ScheduleRepository,
    TaskQueue,
    TaskState,
    WorkflowRepository,
)
from appdb.host import HostMaintenance
from appdb.models import NewRun, NewSchedule, RunStatus, Schedule
from appdb.utils import uuid7_at
from appsupport.documents.damaged_documents import damage
from appsupport.documents.written_documents import write_all
from appsupport.mongo.fail_points import fail_point

LEASE = timedelta(seconds=2)
CUT_OFF = "maintenance-test"
EXCEEDED_TIME_LIMIT = 262
OWNER = "usr_a"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SCHEDULES = 3_000
HELD = 600


@pytest.fixture
async def cut_off(mongo_uri: str, database: Database) -> AsyncIterator[Database]:
    """The same database as another host sees it, whom the server can refuse."""
    async with Database(mongo_uri, database.name, app_name=CUT_OFF) as made:
        yield made


def maintenance(database: Database) -> HostMaintenance:
    queue = TaskQueue(database, lease=LEASE)
    return HostMaintenance(database, queue, ChangeFeed(database, events=False), timedelta(days=1))


async def claimed(queue: TaskQueue) -> Lease:
    await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}))
    (task,) = await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    return Lease.of(task)


async def state(queue: TaskQueue, task_id: str) -> TaskState:
    return (await queue.get(task_id, owner_id=OWNER)).state


async def test_maintenance_after_outage_lets_holders_renew(database: Database, cut_off: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    lease = await claimed(queue)
    running = asyncio.create_task(maintenance(cut_off).run())
    try:
        async with fail_point(database, CUT_OFF, ["aggregate"], errorCode=EXCEEDED_TIME_LIMIT) as point:
            await point.met(2)
            await asyncio.sleep(LEASE.total_seconds() + 0.2)
        # The lease is over and the host is back: it must not be the first. A holder that was cut off too renews now.
        await asyncio.sleep(LEASE.total_seconds() / 4)
        assert await state(queue, lease.task_id) is TaskState.PROCESSING
        assert await queue.renew([lease]) == set()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_maintenance_without_outage_recovers_after_lease(database: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    lease = await claimed(queue)
    running = asyncio.create_task(maintenance(database).run())
    began = time.monotonic()
    try:
        async with asyncio.timeout(20):
            while await state(queue, lease.task_id) is TaskState.PROCESSING:
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert time.monotonic() - began < LEASE.total_seconds() + 5
    assert await queue.renew([lease]) == {lease}


async def test_delayed_task_is_promoted_on_time(database: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    running = asyncio.create_task(maintenance(database).run())
    try:
        task = await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, delay=timedelta(seconds=1.5)))
        async with asyncio.timeout(20):
            while (found := await queue.get(task.id, owner_id=OWNER)).state is not TaskState.QUEUED:
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    # Both by the server's clock.
    assert timedelta(0) <= found.updated_at - found.run_at < timedelta(seconds=1)


@asynccontextmanager
async def maintained(host: Database) -> AsyncIterator[asyncio.Task[None]]:
    """Let *host* look after the database for the length of the block."""
    running = asyncio.create_task(maintenance(host).run())
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def seconds_until(done: Callable[[], Awaitable[bool]]) -> float:
    """Return how long it took until *done* said so."""
    began = time.monotonic()
    async with asyncio.timeout(60):
        while not await done():
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def due_schedule(database: Database, name: str) -> Schedule:
    """Return a schedule with one tick that is due."""
    schedules = ScheduleRepository(database)
    schedule = await schedules.put(NewSchedule(owner_id=OWNER, name=name, cron="0 0 1 1 *", actor="echo", payload={}))
    await database.collection("schedules").update_one({"_id": schedule.id}, {"$set": {"next_at": LONG_AGO}})
    return schedule


async def test_waiting_duty_does_not_block_others(database: Database, cut_off: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    schedule = await due_schedule(database, "slow")
    lease = await claimed(queue)
    delayed = await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, delay=timedelta(seconds=1)))
    stuck = {"blockConnection": True, "blockTimeMS": 7_000, "namespace": f"{database.name}.schedules"}

    async def moved() -> bool:
        states = [await state(queue, task_id) for task_id in (lease.task_id, delayed.id)]
        return states == [TaskState.QUEUED, TaskState.QUEUED]

    async def ticked() -> bool:
        return (await ScheduleRepository(database).get(schedule.name, owner_id=OWNER)).last_tick is not None

    async with maintained(cut_off):
        async with fail_point(database, CUT_OFF, ["findAndModify"], **stuck) as point:
            await point.met()
            took = await seconds_until(moved)
            still_waits = not await ticked()
        await seconds_until(ticked)

    assert still_waits
    assert took < LEASE.total_seconds() + 2


async def test_thousands_of_schedules_delay_no_recovery(database: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    template = (await due_schedule(database, "first")).to_document()
    rows = [template | {"_id": f"sch_{n}", "name": f"{n:05}", "next_at": LONG_AGO} for n in range(SCHEDULES)]
    await database.collection("schedules").insert_many(rows)
    lease = await claimed(queue)
    delayed = await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, delay=timedelta(seconds=1)))

    async def moved() -> bool:
        states = [await state(queue, task_id) for task_id in (lease.task_id, delayed.id)]
        return states == [TaskState.QUEUED, TaskState.QUEUED]

    async with maintained(database):
        took = await seconds_until(moved)
        ticked = await database.collection("tasks").count_documents({}) - 2

    assert ticked < SCHEDULES
    assert took < LEASE.total_seconds() + 5


async def test_dead_hosts_tasks_are_recovered_in_time(database: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    await queue.enqueue_many([NewTask(owner_id=OWNER, actor="echo", payload={}) for _ in range(HELD)])
    held = await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)), limit=HELD)
    claimed_at = time.monotonic()

    async def recovered() -> bool:
        return not await database.collection("tasks").count_documents({"state": TaskState.PROCESSING})

    async with maintained(database):
        await seconds_until(recovered)

    assert len(held) == HELD
    assert time.monotonic() - claimed_at < LEASE.total_seconds() + 5


async def test_maintenance_goes_past_unreadable_documents(database: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    await due_schedule(database, "unreadable")
    await database.collection("schedules").update_one({}, {"$set": {"payload": "hello"}})
    good = await due_schedule(database, "good")
    leases = [await claimed(queue) for _ in range(2)]
    await database.collection("tasks").update_one({"_id": leases[0].task_id}, {"$set": {"priority": 0.5}})
    expiring = [
        await queue.enqueue(NewTask(owner_id=OWNER, actor="other", payload={}, expires_in=timedelta(seconds=1)))
        for _ in range(2)
    ]
    await database.collection("tasks").update_one({"_id": expiring[0].id}, {"$set": {"errors": "none"}})
    await write_all(database)
    await damage(database)

    async def done() -> bool:
        ticked = (await ScheduleRepository(database).get(good.name, owner_id=OWNER)).last_tick
        states = [await state(queue, task_id) for task_id in (leases[1].task_id, expiring[1].id)]
        return ticked is not None and states == [TaskState.QUEUED, TaskState.FAILED]

    async with maintained(database) as running:
        await seconds_until(done)
        assert not running.done()


@pytest.mark.parametrize("bucket", ["media", "files"])
async def test_killed_writers_bytes_are_swept_fresh_ones_kept(database: Database, bucket: str) -> None:
    now = await database.server_time()
    chunks = database.collection(f"{bucket}.chunks")
    old, new = uuid7_at("file_", now - timedelta(days=2)), uuid7_at("file_", now)
    await chunks.insert_many([{"files_id": file_id, "n": n, "data": b"x"} for file_id in (old, new) for n in range(3)])
    running = asyncio.create_task(maintenance(database).run())
    try:
        async with asyncio.timeout(20):
            while await chunks.count_documents({"files_id": old}):
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert await chunks.count_documents({"files_id": new}) == 3


async def test_interrupted_run_deletion_is_finished(database: Database) -> None:
    workflows = WorkflowRepository(database)
    doomed, kept = [
        (await workflows.open(NewRun(project=project), owner_id=OWNER))[0].id for project in ("film", "other")
    ]
    runs, events = database.collection("workflow_runs"), database.collection("events")
    # What a host has written that was killed right after it began.
    await runs.update_one({"_id": doomed}, {"$set": {"deleting": True, "open": False, "listed": False}})
    running = asyncio.create_task(maintenance(database).run())
    try:
        async with asyncio.timeout(20):
            while await events.count_documents({"run_id": doomed}):
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert await events.distinct("run_id") == [kept]
    assert (await workflows.get(kept, owner_id=OWNER)).open


async def test_cut_off_cancel_of_run_is_finished(database: Database) -> None:
    workflows, queue = WorkflowRepository(database), TaskQueue(database)
    run, _ = await workflows.open(NewRun(project="film"), owner_id=OWNER)
    task = await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=run.id))
    # Its event alone, as one leaves it who is killed after that; long ago, since a cancel may still be under way.
    await workflows.set_status(run.id, RunStatus.CANCELLED, owner_id=OWNER, branch_id=run.branch_id)
    await database.collection("workflow_runs").update_one({"_id": run.id}, {"$set": {"updated_at": LONG_AGO}})

    running = asyncio.create_task(maintenance(database).run())
    async with asyncio.timeout(20):
        while await state(queue, task.id) is not TaskState.CANCELLED:
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
