"""Memory: the growth of a worker with the tasks that it has done.

There is no floor of bare calls: the floor is the same worker's memory after a tenth of the tasks, when everything that
is made once has been made. Flat means: less than a twentieth more. The slope over the second half, when memory that is
merely used again has been found, must be less for each task than the smallest thing that could be forgotten. Python's
own count of the blocks it holds tells a leak from an allocator that keeps what was freed.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from appbench.process_usage import MIB, resident_mib
from appbench.rows import Row
from appbench.stage import IN_FLIGHT, NOOP, Stage
from appbench.watching import result_of, until_none_is_live
from appdb import Database, TaskQueue

AT_ONCE = 1_000
QUIET_SECONDS = 3


async def measure(stage: Stage) -> list[Row]:
    """Look at a worker's memory after some tasks, and after many more."""
    some, many = stage.size(10_000, 2_000), stage.size(100_000, 10_000)
    async with stage.database() as database:
        with stage.worker(database, actors=["noop", "blocks"], slots=IN_FLIGHT) as worker:
            await _work(database, some)
            before = resident_mib(worker.process.pid)
            held_before = await _blocks(database)
            await _work(database, many // 2 - some)
            halfway = resident_mib(worker.process.pid)
            await _work(database, many // 2)
            after = resident_mib(worker.process.pid)
            held = await _blocks(database)
    rows = [
        Row(id=f"memory after {many:,} tasks", value=after, unit="MiB", bound="<=", floor=before, target=1.05),
        Row(id="blocks held by Python", value=held, unit="blocks", bound="<=", floor=held_before, target=1.01),
    ]
    if stage.quick:
        return rows  # so few tasks tell nothing about a slope
    slope = (after - halfway) * MIB / (many // 2)
    return [*rows, Row(id="memory, growth for each task", value=slope, unit="bytes", bound="<=", target=50)]


async def _work(database: Database, count: int) -> None:
    queue = TaskQueue(database)
    for _ in range(0, count, AT_ONCE):
        await queue.enqueue_many([NOOP] * AT_ONCE)
    await until_none_is_live(database)
    await asyncio.sleep(QUIET_SECONDS)


async def _blocks(database: Database) -> int:
    task = await TaskQueue(database).enqueue(replace(NOOP, actor="bench.blocks"))
    count: int = (await result_of(database, task.id))["count"]
    return count
