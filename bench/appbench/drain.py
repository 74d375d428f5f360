"""Drain: the speed at which a backlog of tasks that do nothing is worked off.

Same work: the same documents, with the same indexes, go from queued over processing to completed in the order of a
claim, each write journaled on a majority. Ours also keeps a log of two events for each task. Each drain has a database
of its own, for what was drained a moment ago is still in the index and slows the next claims down; the slowest floor
gets half as many tasks, which flatters it a little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from appbench.floors import Floors, bare_collection
from appbench.rows import Row
from appbench.stage import IN_FLIGHT, NOOP, QUEUE, BenchError, Stage
from appbench.watching import until_none_is_live
from appdb import Database, TaskQueue, TaskState

DRAINED = 5_000
AT_ONCE = 1_000
WARM_UP = 200
PAUSE_IS_HEARD_SECONDS = 1


async def measure(stage: Stage) -> list[Row]:
    """Drain in turns: bare one at a time, bare in bulk, one worker process, two."""
    count = stage.size(DRAINED, 2_000)
    one_by_one, in_bulk, one, two = [], [], [], []
    for _ in range(stage.size(3, 1)):
        one_by_one.append(await _bare(stage, lambda floors: floors.drain_one_by_one(count // 2)))
        in_bulk.append(await _bare(stage, lambda floors: floors.drain_in_bulk(count)))
        one.append(await _ours(stage, count, processes=1))
        two.append(await _ours(stage, count, processes=2))
    ours = median(one)
    return [
        Row(id="drain, over one at a time", value=ours, unit="1/s", bound=">=", floor=median(one_by_one), target=3),
        Row(id="drain, over bare bulk", value=ours, unit="1/s", bound=">=", floor=median(in_bulk), target=0.6),
        Row(id="drain, two processes over one", value=median(two), unit="1/s", bound=">=", floor=ours, target=1.3),
    ]


async def _bare(stage: Stage, drain: Callable[[Floors], Awaitable[float]]) -> float:
    async with stage.database() as database, bare_collection(stage, database) as floors:
        return await drain(floors)


async def _ours(stage: Stage, count: int, *, processes: int) -> float:
    async with stage.database() as database:
        queue = TaskQueue(database)
        with stage.worker(database, slots=IN_FLIGHT, processes=processes):
            await queue.enqueue_many([NOOP] * WARM_UP)
            await until_none_is_live(database)
            await queue.pause(QUEUE)
            ids = [task_id for _ in range(0, count, AT_ONCE) for task_id in await queue.enqueue_many([NOOP] * AT_ONCE)]
            await asyncio.sleep(PAUSE_IS_HEARD_SECONDS)
            await queue.resume(QUEUE)
            await until_none_is_live(database)
        return len(ids) / await _seconds(database, ids)


async def _seconds(database: Database, ids: list[str]) -> float:
    """Return the time from the first claim to the last completion by the server's clock, which no poll can blur."""
    stages: list[dict[str, Any]] = [
        {"$match": {"_id": {"$in": ids}, "state": TaskState.COMPLETED}},
        {
            "$group": {
                "_id": None,
                "began": {"$min": "$started_at"},
                "ended": {"$max": "$finished_at"},
                "count": {"$sum": 1},
            }
        },
    ]
    [found] = [row async for row in database.collection("tasks").aggregate(stages)]
    if found["count"] != len(ids):
        raise BenchError(f"{len(ids)} tasks were enqueued, and {found['count']} completed")
    took: float = (found["ended"] - found["began"]).total_seconds()
    return took
