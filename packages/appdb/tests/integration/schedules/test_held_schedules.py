"""Schedules that other hosts hold in open transactions: a dead host delays one by seconds, a living one passes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from appdb import Database, ScheduleRepository
from appdb._driver import Session, start_session, start_transaction
from appdb.host import app_name_of
from appdb.models import NewSchedule, Schedule

OWNER = "usr_a"


@pytest.fixture
def repository(database: Database) -> ScheduleRepository:
    return ScheduleRepository(database)


@pytest.fixture
async def other(mongo_uri: str, database: Database) -> AsyncIterator[Database]:
    """A second connection, of another host."""
    async with Database(mongo_uri, database.name, app_name=app_name_of("appworker/0.0.0", database.name)) as other:
        yield other


async def put_due(repository: ScheduleRepository, database: Database, name: str) -> Schedule:
    """Put a schedule of which one tick is due."""
    schedule = await repository.put(
        NewSchedule(owner_id=OWNER, name=name, cron="0 0 * * *", actor="echo", payload={"name": name})
    )
    due = {"$set": {"next_at": schedule.next_at - timedelta(days=1)}}
    await database.collection("schedules").update_one({"_id": schedule.id}, due)
    return schedule


async def hold(database: Database, schedule: Schedule) -> Session:
    """Pass the schedule's tick, and stop before the commit."""
    session = await start_session(database.raw.client)
    await start_transaction(session)
    passed = {"$set": {"next_at": schedule.next_at}}
    await database.collection("schedules").update_one({"_id": schedule.id}, passed, session=session)
    return session


async def test_hosts_death_in_tick_delays_schedule_briefly(
    repository: ScheduleRepository, database: Database, other: Database
) -> None:
    held, free = [await put_due(repository, database, name) for name in ("held", "free")]
    session = await hold(other, held)
    asked_at = time.monotonic()

    fired = await repository.tick()

    assert sorted(str(task.payload["name"]) for task in fired) == [free.name, held.name]
    assert time.monotonic() - asked_at < 7
    await session.end_session()


async def test_schedule_due_meanwhile_does_not_wait(
    repository: ScheduleRepository, database: Database, other: Database
) -> None:
    session = await hold(other, await put_due(repository, database, "held"))
    ticking = asyncio.create_task(repository.tick())
    await asyncio.sleep(0.5)

    await put_due(repository, database, "late")
    async with asyncio.timeout(1):
        while not await database.collection("tasks").count_documents({"payload.name": "late"}):
            await asyncio.sleep(0.02)

    assert len(await ticking) == 2
    await session.end_session()


async def test_living_hosts_tick_is_left_to_it(
    repository: ScheduleRepository, database: Database, other: Database
) -> None:
    session = await hold(other, await put_due(repository, database, "held"))
    ticking = asyncio.create_task(repository.tick())
    await asyncio.sleep(0.5)
    await session.commit_transaction()
    await session.end_session()

    assert await ticking == []
