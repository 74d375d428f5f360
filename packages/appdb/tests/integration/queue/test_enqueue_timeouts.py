"""An enqueue takes no longer than one operation may, however many wait with it and whatever it asks first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import timedelta

import pytest

from appdb import Database, DatabaseUnavailableError, NewTask, TaskQueue, uuid7_str
from appdb.host import NO_RETRIES
from appsupport.mongo.fail_points import fail_point

APP = "enqueue-timeouts"
OPERATION_SECONDS = 1.5
NOISE_SECONDS = 0.7
"""Less than what a call would take that waits for another and then for itself."""
TASK = NewTask(owner_id="usr_a", actor="echo", payload={})


@pytest.fixture
async def hurried(mongo_uri: str, database: Database) -> AsyncIterator[Database]:
    """The same database for a host whose operations may take little time and are not repeated."""
    limit = timedelta(seconds=OPERATION_SECONDS)
    async with Database(
        mongo_uri, database.name, app_name=APP, operation_timeout=limit, retry_timeout=NO_RETRIES
    ) as made:
        yield made


async def seconds_until_unknown(call: Awaitable[object]) -> float:
    """Return how long *call* took that found no database."""
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError):
        await call
    return time.monotonic() - began


async def test_hanging_server_costs_many_callers_one_timeout(hurried: Database, database: Database) -> None:
    queue = TaskQueue(hurried)
    tasks = [replace(TASK, task_id=uuid7_str("tsk_")) for _ in range(20)]
    await queue.enqueue(TASK)
    async with fail_point(database, APP, ["insert"], blockConnection=True, blockTimeMS=4_000):
        took = await asyncio.gather(*(seconds_until_unknown(queue.enqueue(task)) for task in tasks))
    assert max(took) < OPERATION_SECONDS + NOISE_SECONDS

    stored = await asyncio.gather(*(TaskQueue(database).enqueue(task) for task in tasks))
    assert [task.id for task in stored] == [task.task_id for task in tasks]
    assert await database.collection("tasks").count_documents({}) == 1 + len(tasks)


@pytest.mark.parametrize("many", [False, True])
async def test_time_query_and_write_share_timeout(hurried: Database, database: Database, *, many: bool) -> None:
    queue = TaskQueue(hurried)
    most_of_it = int(OPERATION_SECONDS * 0.7 * 1_000)
    async with fail_point(database, APP, ["hello", "insert"], blockConnection=True, blockTimeMS=most_of_it):
        call = queue.enqueue_many([TASK]) if many else queue.enqueue(TASK)
        assert await seconds_until_unknown(call) < OPERATION_SECONDS * 1.3
