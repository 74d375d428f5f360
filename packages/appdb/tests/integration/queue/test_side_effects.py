"""Side effects that the queue must not have: writes while it waits, a blocked loop, more clients, growth."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from appdb import (
    ChangeFeed,
    Claimer,
    ContentRepository,
    Database,
    Lease,
    NewEvent,
    NewTask,
    RegistryRepository,
    ScheduleRepository,
    TaskEvent,
    TaskEventType,
    TaskQueue,
    TaskState,
    UserRepository,
)
from appdb._driver import DRIVER, Client
from appdb.size_limits import MAX_RECENT_EVENTS
from appsupport.mongo.fail_points import fail_point
from appsupport.mongo.stored_times import let_time_pass

OWNER = "usr_a"
LEASE = timedelta(seconds=30)
APP = "appdb/slow"
BLOCK_SECONDS = 2.0
ME = Claimer(worker_id="w1", queues=("default", "held"), handlers=("echo@1",))
WRITES = {"$or": [{"op": {"$in": ["insert", "update", "remove"]}}, {"command.findAndModify": {"$exists": True}}]}


def new_task(**changes: Any) -> NewTask:
    return NewTask(**({"owner_id": OWNER, "actor": "echo", "payload": {}} | changes))


@pytest.fixture
async def slow(mongo_uri: str, database: Database) -> AsyncIterator[Database]:
    """A connection whose commands can be told from others'."""
    async with Database(mongo_uri, database.name, app_name=APP) as opened:
        yield opened


async def test_queue_without_claimable_tasks_writes_nothing(slow: Database) -> None:
    queue = TaskQueue(slow)
    await queue.enqueue_many([new_task(actor="unknown") for _ in range(20)])
    await queue.enqueue_many([new_task(delay=timedelta(hours=1)), new_task(queue="held")])
    await queue.pause("held")
    before = await slow.collection("tasks").find().sort("_id", 1).to_list(None)
    await slow.raw.command("profile", 2)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert await queue.claim(ME, limit=4) == []
        await queue.maintenance_due(horizon=timedelta(seconds=5))
    await slow.raw.command("profile", 0)
    profile = slow.collection("system.profile")

    assert await profile.count_documents({"appName": APP}) > 0
    assert await profile.find({"appName": APP, **WRITES}).to_list(None) == []
    assert await slow.collection("tasks").find().sort("_id", 1).to_list(None) == before


async def test_slow_database_does_not_block_event_loop(slow: Database, database: Database) -> None:
    queue = TaskQueue(slow)
    task = await queue.enqueue(new_task())
    ticking = asyncio.create_task(_longest_pause(BLOCK_SECONDS))
    commands = ["find", "findAndModify", "aggregate", "insert", "update"]
    block = {"blockConnection": True, "blockTimeMS": int(BLOCK_SECONDS * 1_000)}
    began = time.monotonic()
    async with fail_point(database, APP, commands, **block):
        await asyncio.gather(
            queue.get(task.id, owner_id=OWNER), queue.enqueue(new_task()), queue.stats(), queue.events(task.id)
        )
    took = time.monotonic() - began

    assert took >= BLOCK_SECONDS
    assert await ticking < BLOCK_SECONDS / 2


async def _longest_pause(seconds: float) -> float:
    """Return the longest time that the event loop kept others waiting within *seconds*."""
    longest, end = 0.0, time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - now)
    return longest


async def test_every_use_of_database_shares_one_client(mongo_uri: str, database: Database) -> None:
    before = _clients()
    async with Database(mongo_uri, database.name) as opened:
        kinds = [TaskQueue, ContentRepository, RegistryRepository, ScheduleRepository, UserRepository]
        made = [ChangeFeed(opened, events=True), *(kind(opened) for kind in kinds)]
        await TaskQueue(opened).enqueue(new_task())
        added = [found for found in _clients() if not any(found is one for one in before)]

    assert len(made) == 6
    assert len(added) == 1


def _clients() -> list[object]:
    # By its exact type: asking anything else of whatever is found could run its code.
    kind = MongoClient if DRIVER == "motor" else Client
    return [found for found in gc.get_objects() if type(found) is kind]


async def test_recent_events_stay_small_over_many_attempts(database: Database) -> None:
    task = await TaskQueue(database).enqueue(new_task(max_attempts=1_000))
    chunks = [NewEvent(type=TaskEventType.CHUNK, data={"chunks": ["x" * 1_000]})] * 20
    for _ in range(30):
        holder = TaskQueue(database)
        (held,) = await holder.claim(ME)
        await holder.append_events(Lease.of(held), chunks, seq=held.event_count)
        await holder.fail(Lease.of(held), "Busy", "again", retry_in=timedelta(0))
    stored = await database.collection("tasks").find_one({"_id": task.id}) or {}
    events: list[TaskEvent] = []
    while page := await TaskQueue(database).events(task.id, after=len(events) - 1, limit=1_000):
        events += page

    assert sum(len(batch["events"]) for batch in stored["tail"]) < 2 * MAX_RECENT_EVENTS
    assert [event.seq for event in events] == list(range(30 * 21))


async def test_task_completed_before_recovery_stays_completed(slow: Database, database: Database) -> None:
    queue = TaskQueue(database, lease=LEASE)
    await queue.enqueue(new_task())
    (task,) = await queue.claim(ME)
    await let_time_pass(database, LEASE + timedelta(seconds=1))
    async with fail_point(database, APP, ["findAndModify"], blockConnection=True, blockTimeMS=1_500) as point:
        recovering = asyncio.create_task(TaskQueue(slow, lease=LEASE).recover())
        await point.met()
        await queue.complete(Lease.of(task), {"n": 1})
        recovered = await recovering
    done = await queue.get(task.id, owner_id=OWNER)

    assert recovered == []
    assert (done.state, done.result, done.errors) == (TaskState.COMPLETED, {"n": 1}, [])
    assert [event.type for event in await queue.events(task.id)] == [TaskEventType.COMPLETED]
