"""Streaming: the time until an emitted chunk reaches a follower in another process, and the chunks per second.

There is no floor: the targets are what a person who watches a text appear can bear. The follower does what an API host
does: it waits for a hint on the task's topic and reads what is new in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from appbench.pickup import percentile
from appbench.rows import Row
from appbench.stage import OWNER, BenchError, Stage
from appdb import ChangeFeed, Database, NewTask, TaskEventType, TaskQueue, uuid7_str
from appdb.feed import task_topic

CHUNK_PAUSE_SECONDS = 0.04
PAGE = 500
LONGEST_WAIT = timedelta(seconds=1)


async def measure(stage: Stage) -> list[Row]:
    """Follow one task that speaks steadily, and one that speaks as fast as it can."""
    async with stage.database() as database:
        feed = ChangeFeed(database, events=True)
        following = asyncio.create_task(feed.run())
        try:
            with stage.worker(database, actors=["speak"], slots=4):
                await _speak(database, feed, 50, CHUNK_PAUSE_SECONDS)
                steady = await _speak(database, feed, stage.size(500, 150), CHUNK_PAUSE_SECONDS)
                burst = await _speak(database, feed, stage.size(100_000, 30_000), 0)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    delays = [(arrived - emitted) * 1_000 for emitted, arrived in steady]
    per_second = len(burst) / (burst[-1][1] - burst[0][0])
    return [
        Row(id="emit to delivery p50", value=percentile(delays, 50), unit="ms", bound="<=", target=60),
        Row(id="emit to delivery p99", value=percentile(delays, 99), unit="ms", bound="<=", target=250),
        Row(id="chunks delivered from one task", value=per_second, unit="1/s", bound=">=", target=3_000),
    ]


async def _speak(database: Database, feed: ChangeFeed, count: int, pause_seconds: float) -> list[tuple[float, float]]:
    """Return for each chunk when it was emitted and when it arrived, by this machine's clock."""
    payload: dict[str, Any] = {"chunks": count, "pause_seconds": pause_seconds}
    task = NewTask(owner_id=OWNER, actor="bench.speak", payload=payload, task_id=uuid7_str("tq_"))
    times, numbers = [], []
    async for chunk, arrived in _follow(database, feed, task):
        times.append((float(chunk["at"]), arrived))
        numbers.append(chunk["number"])
    if numbers != list(range(count)):
        raise BenchError(f"{count} chunks were emitted in order, and {len(numbers)} arrived, or in another order")
    return times


async def _follow(database: Database, feed: ChangeFeed, task: NewTask) -> AsyncIterator[tuple[dict[str, Any], float]]:
    queue = TaskQueue(database)
    after = -1
    with feed.subscribe(task_topic(str(task.task_id))) as hints:
        await queue.enqueue(task)
        while True:
            page = await queue.events(str(task.task_id), after=after, limit=PAGE)
            arrived = time.time()
            for event in page:
                after = event.seq
                for chunk in event.data["chunks"] if event.type is TaskEventType.CHUNK else []:
                    yield chunk, arrived
                if event.type.terminal:
                    return
            if not page:
                await hints.wait(LONGEST_WAIT)
