"""Streams of tasks over a log in memory: no gap, no repeat, one reader, and readers that leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import cast

import pytest

from appdb import ChangeFeed, DatabaseUnavailableError, TaskEvent, TaskEventType, TaskQueue
from appdb.feed import Subscription
from appserver.api.event_frames import event_frame
from appserver.errors import TooManyStreamsError
from appserver.streams import log_reader, stream_viewer, task_streams
from appserver.streams.cursor import TaskCursor
from appserver.streams.task_streams import TaskStreams

START = TaskCursor(task_id="t")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class MemoryLog:
    """A log and its hints."""

    def __init__(self) -> None:
        self.live = True
        self.log: list[TaskEvent] = []
        self.reads = 0
        self.failures: list[Exception] = []
        self.subscriptions: set[Subscription] = set()

    def write(self, count: int = 1, *, end: bool = False) -> None:
        for number in range(count):
            last = end and number == count - 1
            kind = TaskEventType.COMPLETED if last else TaskEventType.PROGRESS
            seq = len(self.log)
            row = {"_id": f"t:{seq}", "task_id": "t", "seq": seq, "type": kind, "attempt": 1, "at": NOW, "data": {}}
            self.log.append(TaskEvent.from_document(row))
        for subscription in self.subscriptions:
            subscription.hint()

    async def events(self, task_id: str, *, after: int = -1, limit: int = 500) -> list[TaskEvent]:
        assert task_id == "t"
        self.reads += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop()
        return self.log[after + 1 : after + 1 + limit]

    @contextmanager
    def subscribe(self, topic: str) -> Iterator[Subscription]:
        assert topic == "task:t"
        subscription = Subscription()
        self.subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self.subscriptions.discard(subscription)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def streams(log: MemoryLog) -> TaskStreams:
    return TaskStreams(cast(TaskQueue, log), cast(ChangeFeed, log), encode=event_frame, per_user=2)


async def read(streams: TaskStreams, after: int = -1) -> list[int]:
    async with asyncio.timeout(10):
        return [event.seq async for event in streams.follow(TaskCursor(task_id="t", seq=after))]


async def until_watched(log: MemoryLog) -> None:
    async with asyncio.timeout(10):
        while not log.subscriptions:
            await asyncio.sleep(0)


async def until_unwatched(log: MemoryLog) -> None:
    async with asyncio.timeout(10):
        while log.subscriptions:
            await asyncio.sleep(0)


@pytest.mark.parametrize("after", [-1, 0, 3, 9])
async def test_finished_log_is_read_from_any_place(streams: TaskStreams, log: MemoryLog, after: int) -> None:
    log.write(11, end=True)

    assert await read(streams, after) == list(range(after + 1, 11))
    assert not log.subscriptions


@pytest.mark.parametrize("page", [1, 2, 3, 7, 500])
async def test_pages_of_any_size_join_densely(
    streams: TaskStreams, log: MemoryLog, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    for module in (task_streams, log_reader):
        monkeypatch.setattr(module, "PAGE", page)
    log.write(13)
    reading = asyncio.create_task(read(streams))
    await until_watched(log)
    log.write(9)
    log.write(4, end=True)

    assert await reading == list(range(26))


async def test_viewers_joining_anytime_see_same(streams: TaskStreams, log: MemoryLog) -> None:
    viewers = []
    for number in range(30):
        viewers.append(asyncio.create_task(read(streams, min(number - 1, 4))))
        log.write()
        for _ in range(number % 5):
            await asyncio.sleep(0)
    log.write(end=True)

    for number, viewer in enumerate(viewers):
        assert await viewer == list(range(min(number - 1, 4) + 1, 31))


async def test_reader_ends_with_last_viewer_and_restarts(streams: TaskStreams, log: MemoryLog) -> None:
    first = asyncio.create_task(read(streams))
    await until_watched(log)
    first.cancel()
    await until_unwatched(log)

    second = asyncio.create_task(read(streams))
    await until_watched(log)
    log.write(3, end=True)

    assert await second == [0, 1, 2]
    await until_unwatched(log)


async def test_reader_waits_through_outage(streams: TaskStreams, log: MemoryLog) -> None:
    reading = asyncio.create_task(read(streams))
    await until_watched(log)
    log.failures = [DatabaseUnavailableError("reading", "election")]
    log.write(1)
    async with asyncio.timeout(10):
        while log.failures:
            await asyncio.sleep(0)
    log.write(1, end=True)

    assert await reading == [0, 1]


async def test_broken_reader_drops_its_viewers(streams: TaskStreams, log: MemoryLog) -> None:
    problems: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["message"]))
    reading = asyncio.create_task(read(streams))
    await until_watched(log)
    log.failures = [ValueError("a document that nobody understands")]
    log.write(1)

    assert await reading == []
    log.write(1, end=True)
    assert await read(streams) == [0, 1]


async def test_viewer_too_far_behind_is_dropped(
    streams: TaskStreams, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_viewer, "BACKLOG", 3)
    following = streams.follow(START)
    first = asyncio.ensure_future(anext(following))
    await until_watched(log)
    log.write()
    assert (await first).seq == 0
    log.write(10)
    while log.reads < 5:
        await asyncio.sleep(0)

    assert [event.seq async for event in following] == [1, 2, 3]


async def test_viewer_too_many_bytes_behind_is_dropped(
    streams: TaskStreams, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_viewer, "BACKLOG_BYTES", 500)
    log.write(200)
    following = streams.follow(START)
    # What is logged already is read at the viewer's own pace, whatever it weighs.
    seen = [await anext(following) for _ in range(200)]
    waiting = asyncio.ensure_future(anext(following))
    await until_watched(log)
    log.write()
    seen.append(await waiting)
    reads = log.reads
    log.write(100)
    while log.reads < reads + 2:
        await asyncio.sleep(0)
    late = [frame async for frame in following]

    assert [frame.seq for frame in seen + late] == list(range(201 + len(late)))
    assert sum(len(frame.text) for frame in late[:-1]) < 500 <= sum(len(frame.text) for frame in late)


async def test_event_is_encoded_once_for_viewers(streams: TaskStreams, log: MemoryLog) -> None:
    followed = [streams.follow(START) for _ in range(3)]
    waiting = [asyncio.ensure_future(anext(following)) for following in followed]
    await until_watched(log)
    for _ in range(20):
        await asyncio.sleep(0)
    log.write()
    frames = await asyncio.gather(*waiting)

    assert all(frame.text is frames[0].text for frame in frames)


def test_users_streams_are_limited(streams: TaskStreams) -> None:
    with streams.counted("a"), streams.counted("a"), streams.counted("b"):
        streams.check_capacity("b")
        with pytest.raises(TooManyStreamsError, match="You have 2 open streams"):
            streams.check_capacity("a")

    streams.check_capacity("a")
