"""Upkeep of one host: delayed tasks start on time, and a host that was cut off takes nothing from anybody at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from appdb import (
    ChangeFeed,
    Claimer,
    ContentRepository,
    Database,
    FileRepository,
    Lease,
    NewRun,
    NewTask,
    ScheduleRepository,
    TaskQueue,
    TaskState,
    WorkflowRepository,
)
from appdb.utils import uuid7_at
from appworker.upkeep import Stores, Upkeep
from fail_points import fail_point

LEASE = timedelta(seconds=2)
CUT_OFF = "upkeep-test"
EXCEEDED_TIME_LIMIT = 262
OWNER = "usr_a"


@pytest.fixture
async def cut_off(mongo_uri: str, database: Database) -> AsyncIterator[Database]:
    """The same database as another host sees it, whom the server can refuse."""
    async with Database(mongo_uri, database.name, app_name=CUT_OFF) as made:
        yield made


def upkeep(database: Database) -> Upkeep:
    queue = TaskQueue(database, lease=LEASE)
    feed = ChangeFeed(database, events=False)
    stores = Stores(
        contents=ContentRepository(database), files=FileRepository(database), workflows=WorkflowRepository(database)
    )
    return Upkeep(queue, ScheduleRepository(database), stores, feed, timedelta(days=1))


async def claimed(queue: TaskQueue) -> Lease:
    await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}))
    (task,) = await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    return Lease.of(task)


async def state(queue: TaskQueue, task_id: str) -> TaskState:
    return (await queue.get(task_id, owner_id=OWNER)).state


async def test_a_host_that_was_cut_off_gives_holders_a_lease_to_renew(database: Database, cut_off: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    lease = await claimed(queue)
    running = asyncio.create_task(upkeep(cut_off).run())
    try:
        async with fail_point(database, CUT_OFF, ["aggregate"], errorCode=EXCEEDED_TIME_LIMIT) as point:
            await point.met(2)
            await asyncio.sleep(LEASE.total_seconds() + 0.2)
        # The lease is over and the host is back: it must not be the first. A holder that was cut off too renews now.
        await asyncio.sleep(LEASE.total_seconds() / 4)
        assert await state(queue, lease.task_id) is TaskState.PROCESSING
        assert await queue.extend([lease]) == set()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_host_that_was_not_cut_off_recovers_soon_after_the_lease(database: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    lease = await claimed(queue)
    running = asyncio.create_task(upkeep(database).run())
    began = time.monotonic()
    try:
        async with asyncio.timeout(20):
            while await state(queue, lease.task_id) is TaskState.PROCESSING:
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert time.monotonic() - began < LEASE.total_seconds() + 5
    assert await queue.extend([lease]) == {lease}


async def test_a_delayed_task_is_due_on_time_and_not_at_the_next_look(database: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    running = asyncio.create_task(upkeep(database).run())
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


@pytest.mark.parametrize("bucket", ["media", "files"])
async def test_bytes_that_a_killed_writer_left_are_swept_and_those_of_today_stay(
    database: Database, bucket: str
) -> None:
    now = await database.server_time()
    chunks = database.collection(f"{bucket}.chunks")
    old, new = uuid7_at("file_", now - timedelta(days=2)), uuid7_at("file_", now)
    await chunks.insert_many([{"files_id": file_id, "n": n, "data": b"x"} for file_id in (old, new) for n in range(3)])
    running = asyncio.create_task(upkeep(database).run())
    try:
        async with asyncio.timeout(20):
            while await chunks.count_documents({"files_id": old}):
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert await chunks.count_documents({"files_id": new}) == 3


async def test_a_deletion_of_a_run_that_was_cut_off_is_finished_and_other_runs_stay(database: Database) -> None:
    workflows = WorkflowRepository(database)
    doomed, kept = [
        (await workflows.open(NewRun(project=project), owner_id=OWNER))[0].id for project in ("film", "other")
    ]
    runs, events = database.collection("workflow_runs"), database.collection("events")
    # What a host has written that was killed right after it began.
    await runs.update_one({"_id": doomed}, {"$set": {"deleting": True, "open": False, "listed": False}})
    running = asyncio.create_task(upkeep(database).run())
    try:
        async with asyncio.timeout(20):
            while await runs.count_documents({"_id": doomed}):
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert await events.distinct("run_id") == [kept]
    assert (await workflows.get(kept, owner_id=OWNER)).open
