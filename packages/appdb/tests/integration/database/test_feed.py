"""The change feed: hints arrive, and an interruption loses nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from appdb import ChangeFeed, Claimer, Database, Lease, NewEvent, NewTask, TaskEventType, TaskQueue
from appdb.feed import TASKS_READY, task_topic, topics_of
from appsupport.mongo.running_feed import running_feed

SOON = timedelta(seconds=5)
NEVER = timedelta(milliseconds=300)
TASK = NewTask(owner_id="usr_a", actor="echo", payload={})


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[ChangeFeed]:
    async with running_feed(database, events=True) as feed:
        yield feed


async def test_new_task_wakes_claimers(feed: ChangeFeed, database: Database) -> None:
    with feed.subscribe(TASKS_READY) as ready:
        await TaskQueue(database).enqueue(TASK)

        assert await ready.wait(SOON)


async def test_events_wake_viewers_renewals_do_not(feed: ChangeFeed, database: Database) -> None:
    queue = TaskQueue(database)
    task = await queue.enqueue(TASK)
    with feed.subscribe(task_topic(task.id)) as hints:
        (held,) = await queue.claim(Claimer(worker_id="w", queues=("default",), handlers=("echo@1",)))
        await hints.wait(NEVER)  # the enqueue's own hint may come late
        await queue.renew([Lease.of(held)])
        assert not await hints.wait(NEVER)
        await queue.append_events(Lease.of(held), [NewEvent(type=TaskEventType.STARTED)], seq=0)
        assert await hints.wait(SOON)
        await queue.cancel(task.id, owner_id="usr_a")
        assert await hints.wait(SOON)


async def test_lost_oplog_restarts_stream_and_wakes_all(feed: ChangeFeed, database: Database) -> None:
    change_stream_history_lost = 286
    with feed.subscribe(TASKS_READY) as ready:
        data = {"failCommands": ["getMore"], "errorCode": change_stream_history_lost}
        await database.raw.client.admin.command(
            {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data}
        )

        assert await ready.wait(SOON)
        await TaskQueue(database).enqueue(TASK)
        assert await ready.wait(SOON)


async def test_paused_feed_wakes_nobody_until_resumed(feed: ChangeFeed, database: Database) -> None:
    queue = TaskQueue(database)
    with feed.subscribe(TASKS_READY) as ready:
        feed.pause()
        with feed.subscribe("any") as anybody:
            await queue.enqueue(TASK)  # the next change ends it
            assert await anybody.wait(SOON)
        assert feed.live is False
        assert await ready.wait(SOON)

        await queue.enqueue(TASK)
        assert not await ready.wait(NEVER)
        feed.resume()
        assert await ready.wait(SOON)
        await queue.enqueue(TASK)
        assert await ready.wait(SOON)
    assert feed.live is True


async def test_dropped_database_restarts_stream_and_wakes_all(
    feed: ChangeFeed, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with feed.subscribe(TASKS_READY) as ready:
        await database.raw.client.drop_database(database.name)
        assert await ready.wait(SOON)
        await database.migrate()
        await until_live(feed)
        await ready.wait(NEVER)  # the new stream's own hint
        await TaskQueue(database).enqueue(TASK)
        assert await ready.wait(SOON)

    (told,) = [record for record in caplog.records if record.name == "appdb.feed"]
    assert "the database was dropped or replaced" in vars(told)["error"]


async def until_live(feed: ChangeFeed) -> None:
    async with asyncio.timeout(SOON.total_seconds()):
        while not feed.live:
            await asyncio.sleep(0.01)


async def test_operation_timeout_does_not_interrupt_idle_feed(
    mongo_uri: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    limit = timedelta(seconds=1)
    async with Database(mongo_uri, database.name, operation_timeout=limit) as limited:
        feed = ChangeFeed(limited, events=True)
        running = asyncio.create_task(feed.run())
        with feed.subscribe("any") as opened:
            assert await opened.wait(SOON)
            assert not await opened.wait(3 * limit)
        assert feed.live is True
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert not [record for record in caplog.records if record.name == "appdb.feed"]


def test_unknown_change_wakes_whom_it_names() -> None:
    assert topics_of({"task_id": "tq_1", "state": {"odd": 1}, "queue": None}) == [task_topic("tq_1")]
