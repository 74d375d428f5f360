"""The measures of `appdb bench`: the work of the queue, and the same work with bare driver calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from appdb._driver import RawDocument, watch
from appdb.database import Database
from appdb.errors import DatabaseUnavailableError
from appdb.feed import MAX_AWAIT, TASKS_READY, ChangeFeed
from appdb.models.tasks import NewTask
from appdb.queue.attempt_write import AttemptWrite, Completed
from appdb.queue.lease import Claimer, Lease
from appdb.queue.task_queue import TaskQueue
from appdb.utils import uuid7_str

IN_FLIGHT = 32
BATCH = 1_000
TASK = NewTask(owner_id="bench", actor="bench", payload={})
CLAIMER = Claimer(worker_id="bench", queues=("default",), handlers=("bench@1",))
LONGEST_WAKE = timedelta(seconds=5)
MOST_WAKES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchLimits:
    """The limits of one measure.

    Args:
        count: Tasks.
        seconds: Time; what was done by then gives the rate.
    """

    count: int
    seconds: float

    async def rate(self, call: Callable[[], Awaitable[object]], *, in_flight: int = 1, each: int = 1) -> float:
        """Return how many a second: *call* does *each* of them, *in_flight* calls at a time."""
        began = time.perf_counter()
        left = iter(range(max(1, self.count // each)))
        done = 0

        async def one_in_flight() -> None:
            nonlocal done
            for _ in left:
                await call()
                done += each
                if time.perf_counter() - began > self.seconds:
                    return

        await asyncio.gather(*(one_in_flight() for _ in range(in_flight)))
        return done / (time.perf_counter() - began)

    async def drained(self, call: Callable[[], Awaitable[int]]) -> float:
        """Return how many a second: *call* takes some and says how many, none when nothing is left."""
        began = time.perf_counter()
        done = 0
        while (taken := await call()) and time.perf_counter() - began < self.seconds:
            done += taken
        return (done + taken) / (time.perf_counter() - began)

    async def waits(self, call: Callable[[], Awaitable[object]]) -> list[float]:
        """Return how many milliseconds each *call* took."""
        began, waits = time.perf_counter(), list[float]()
        while len(waits) < min(self.count, MOST_WAKES) and time.perf_counter() - began < self.seconds:
            before = time.perf_counter()
            await call()
            waits.append((time.perf_counter() - before) * 1_000)
        return waits


class QueueMeasures:
    """The work through ``TaskQueue`` and ``ChangeFeed``."""

    def __init__(self, database: Database, limits: BenchLimits) -> None:
        self._database = database
        self._limits = limits
        self._queue = TaskQueue(database)

    async def enqueue(self) -> float:
        """Return enqueues per second, each acknowledged by a majority."""
        return await self._limits.rate(lambda: self._queue.enqueue(TASK), in_flight=IN_FLIGHT)

    async def enqueue_many(self) -> float:
        """Return tasks per second, enqueued in batches."""
        size = min(BATCH, self._limits.count)
        return await self._limits.rate(lambda: self._queue.enqueue_many([TASK] * size), each=size)

    async def drain(self) -> float:
        """Return tasks per second, claimed and completed as a worker with 32 slots does."""
        return await self._limits.drained(self._claim_and_complete)

    async def _claim_and_complete(self) -> int:
        taken = await self._queue.claim(CLAIMER, limit=IN_FLIGHT)
        if taken:
            await self._queue.commit([AttemptWrite(lease=Lease.of(task), outcome=Completed()) for task in taken])
        return len(taken)

    async def wakes(self) -> list[float]:
        """Return the milliseconds from before each enqueue until the feed has woken a waiter."""
        async with _running(ChangeFeed(self._database, events=False)) as feed:
            with feed.subscribe(TASKS_READY) as ready:
                # The first wake only says that the stream is open.
                await ready.wait(LONGEST_WAKE)

                async def call() -> None:
                    await self._queue.enqueue(TASK)
                    if not await ready.wait(LONGEST_WAKE):
                        raise DatabaseUnavailableError(
                            "waking a waiter", f"no change stream told of a task in {LONGEST_WAKE}"
                        )

                return await self._limits.waits(call)


@asynccontextmanager
async def _running(feed: ChangeFeed) -> AsyncIterator[ChangeFeed]:
    running = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        running.cancel()
        await asyncio.wait({running})


class DriverMeasures:
    """The same work with bare driver calls, on a collection beside the queue's."""

    def __init__(self, database: Database, limits: BenchLimits) -> None:
        self._database = database
        self._limits = limits
        self._tasks = database.collection("bare")

    async def insert(self) -> float:
        """Return inserts per second."""
        # A queue of bare calls needs an index to claim by, so its inserts pay for one too.
        await self._tasks.create_index([("state", 1), ("_id", 1)])
        return await self._limits.rate(lambda: self._tasks.insert_one(_document()), in_flight=IN_FLIGHT)

    async def insert_many(self) -> float:
        """Return documents per second, inserted in batches."""
        size = min(BATCH, self._limits.count)
        return await self._limits.rate(lambda: self._tasks.insert_many([_document() for _ in range(size)]), each=size)

    async def drain(self) -> float:
        """Return documents per second, claimed and completed 32 at a time."""
        return await self._limits.drained(self._claim_and_complete)

    async def _claim_and_complete(self) -> int:
        # Without leases, events or fair share: the ratio shows what those cost.
        found = self._tasks.find({"state": "queued"}, {"_id": 1}).sort("_id", 1).limit(IN_FLIGHT)
        match: dict[str, Any] = {"_id": {"$in": [row["_id"] async for row in found]}}
        await self._tasks.update_many(match | {"state": "queued"}, {"$set": {"state": "processing"}})
        taken = [row async for row in self._tasks.find(match)]
        await self._tasks.update_many(match, {"$set": {"state": "completed"}})
        return len(taken)

    async def wakes(self) -> list[float]:
        """Return the milliseconds from before each insert until a change stream has told of it."""
        match = {"$match": {"ns.coll": self._tasks.name, "operationType": "insert"}}
        async with watch(self._database.raw, [match], max_await=MAX_AWAIT) as stream:
            await stream.try_next()

            async def call() -> None:
                told = asyncio.ensure_future(stream.next())
                await self._tasks.insert_one(_document())
                await told

            return await self._limits.waits(call)


def _document() -> RawDocument:
    return {"_id": uuid7_str(), "state": "queued", "owner_id": "bench", "actor": "bench", "payload": {}, "errors": []}


def percentile(values: Sequence[float], share: int) -> float:
    """Return the value that *share* percent of *values* do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]
