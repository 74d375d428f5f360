"""Orphaned transactions: a host that died inside one does not keep others from its tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from appdb import (
    Claimer,
    Database,
    Lease,
    LeaseLostError,
    Limit,
    NewEvent,
    NewTask,
    TaskEventType,
    TaskQueue,
    TaskState,
)
from appdb._driver import Session, start_session, start_transaction
from appdb._queries import tasks as queries
from appdb.host import app_name_of
from appdb.queue.task_log import TaskLog

LEASE = timedelta(seconds=1)
OWNER = "usr_a"


@pytest.fixture
async def dying(mongo_uri: str, database: Database) -> AsyncIterator[Database]:
    """A second connection, of a host that stops in the middle of what it does."""
    async with Database(mongo_uri, database.name, app_name=app_name_of("appworker/0.0.0", database.name)) as other:
        yield other


async def claimed(database: Database) -> Lease:
    queue = TaskQueue(database, lease=LEASE)
    await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}))
    (task,) = await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    return Lease.of(task)


async def write_half(database: Database, lease: Lease) -> Session:
    """Begin to append an event, and stop before the commit."""
    session = await start_session(database.raw.client)
    await start_transaction(session)
    match = queries.held(lease.task_id, lease.token)
    await TaskLog(database).append_to(match, [NewEvent(type=TaskEventType.CHUNK)], session=session, changes={})
    return session


async def test_holders_death_in_transaction_delays_no_recovery(database: Database, dying: Database) -> None:
    lease = await claimed(dying)
    session = await write_half(dying, lease)
    await asyncio.sleep(LEASE.total_seconds() + 0.1)
    asked_at = time.monotonic()
    recovered = await TaskQueue(database, lease=LEASE).recover()

    assert [task.state for task in recovered] == [TaskState.QUEUED]
    assert time.monotonic() - asked_at < 5
    assert [event.type for event in await TaskQueue(database).events(lease.task_id)] == [TaskEventType.RETRYING]
    with pytest.raises(LeaseLostError):
        await TaskQueue(dying).complete(lease)
    await session.end_session()


async def test_holders_death_in_transaction_delays_no_cancel(database: Database, dying: Database) -> None:
    lease = await claimed(dying)
    await write_half(dying, lease)
    asked_at = time.monotonic()
    cancelled = await TaskQueue(database).cancel(lease.task_id, owner_id=OWNER)

    assert cancelled.state is TaskState.CANCELLED
    assert time.monotonic() - asked_at < 7


async def test_limit_locked_by_dead_host_delays_claim_briefly(database: Database, dying: Database) -> None:
    queue = TaskQueue(database)
    limits = (Limit(key="provider:x", concurrency=1),)
    await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, limits=limits))
    session = await start_session(dying.raw.client)
    await start_transaction(session)
    await dying.collection("limits").update_one(
        {"_id": "provider:x"}, {"$set": {"used": 1}}, upsert=True, session=session
    )
    claimer = Claimer(worker_id="w2", queues=("default",), handlers=("echo@1",))
    await asyncio.sleep(1)
    asked_at = time.monotonic()

    assert len(await queue.claim(claimer)) == 1
    assert time.monotonic() - asked_at < 6
    await session.end_session()


async def test_live_transaction_is_left_alone(database: Database, dying: Database) -> None:
    lease = await claimed(dying)
    session = await write_half(dying, lease)
    ended = await database.orphans.end(timedelta(minutes=1))
    await session.commit_transaction()

    assert ended == 0
    assert [event.type for event in await TaskQueue(database).events(lease.task_id)] == [TaskEventType.CHUNK]
    await session.end_session()


async def test_other_applications_transactions_are_left_alone(mongo_uri: str, database: Database) -> None:
    async with Database(mongo_uri, database.name, app_name="reports") as other:
        session = await write_half(other, await claimed(database))
        ended = await database.orphans.end(timedelta(0))
        await session.commit_transaction()
        await session.end_session()

    assert ended == 0


async def test_other_databases_transactions_are_left_alone(mongo_uri: str, database: Database) -> None:
    # It writes to the same one, for want of a second: what counts is what it calls itself.
    async with Database(mongo_uri, database.name, app_name=app_name_of("appworker/0.0.0", "another")) as other:
        session = await write_half(other, await claimed(database))
        ended = await database.orphans.end(timedelta(0))
        await session.commit_transaction()
        await session.end_session()

    assert ended == 0


async def test_host_is_identified_by_database_not_program(mongo_uri: str, database: Database) -> None:
    async with Database(mongo_uri, database.name) as other:
        session = await write_half(other, await claimed(database))
        ended = await database.orphans.end(timedelta(0))
        await session.end_session()

    assert ended == 1
