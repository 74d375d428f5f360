"""Streams whose hints are lost one by one while the change feed lives: the log is asked now and then all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from appdb import ChangeFeed, Claimer, Database, Lease, NewEvent, NewTask, TaskEvent, TaskEventType, TaskQueue
from appdb.feed import task_topic
from appserver.api.event_frames import event_frame
from appserver.streams.cursor import TaskCursor
from appserver.streams.log_reader import POLL
from appserver.streams.task_streams import TaskStreams
from appsupport.mongo.running_feed import running_feed

SOON = timedelta(seconds=10)
LOOKS_BEFORE_WAIT = 3
"""Looks of the first viewer at an empty log: two to catch up, and one by the reader, which waits from then on."""


class WatchedQueue(TaskQueue):
    """A queue that counts the looks at a log that found nothing."""

    vain_looks = 0

    async def events(self, task_id: str, *, after: int = -1, limit: int = 500) -> list[TaskEvent]:
        found = await super().events(task_id, after=after, limit=limit)
        self.vain_looks += not found
        return found


@pytest.fixture
async def deaf_feed(database: Database) -> AsyncIterator[ChangeFeed]:
    """A live feed that does not see what is appended to logs, so that each of these hints is lost."""
    async with running_feed(database, events=False) as feed:
        yield feed


async def test_event_with_lost_hint_comes_within_poll(database: Database, deaf_feed: ChangeFeed) -> None:
    queue = WatchedQueue(database)
    task = NewTask(owner_id="usr_a", actor="echo", payload={}, task_id="tq_lost_hint")
    # The enqueue's own hint comes first: the reader must not take it for one of the event.
    with deaf_feed.subscribe(task_topic("tq_lost_hint")) as enqueued:
        await queue.enqueue(task)
        assert await enqueued.wait(SOON)
    (held,) = await queue.claim(Claimer(worker_id="w", queues=("default",), handlers=("echo@1",)))
    streams = TaskStreams(queue, deaf_feed, encode=event_frame, per_user=1)

    following = streams.follow(TaskCursor(task_id=held.id))
    with deaf_feed.subscribe(task_topic(held.id)) as hints:
        first = asyncio.ensure_future(anext(following))
        async with asyncio.timeout(SOON.total_seconds()):
            while queue.vain_looks < LOOKS_BEFORE_WAIT:
                await asyncio.sleep(0.01)
        await queue.append_events(Lease.of(held), [NewEvent(type=TaskEventType.STARTED)], seq=0)
        async with asyncio.timeout((POLL + SOON).total_seconds()):
            frame = await first
        was_hinted = await hints.wait(timedelta(0))
        await queue.complete(Lease.of(held))
        async with asyncio.timeout((POLL + SOON).total_seconds()):
            rest = [each.seq async for each in following]

    assert (frame.seq, rest) == (0, [1])
    assert deaf_feed.live
    assert not was_hinted
