"""Idle: the cost of a worker without work, in queries, computing time and memory.

There is no floor. The server's profiler counts the commands to the worker's database: it names the program that sent
each, so neither the bench nor the server's housekeeping is counted, nor are heartbeats, which ask no database anything.
"""

from __future__ import annotations

import asyncio

from appbench.process_usage import cpu_seconds, resident_mib
from appbench.rows import Row
from appbench.stage import NOOP, Stage
from appbench.watching import until_none_is_live
from appdb import Database, TaskQueue

WORKED_BEFORE = 100
SETTLING_SECONDS = 5


async def measure(stage: Stage) -> list[Row]:
    """Watch a worker that has worked and has nothing to do now."""
    seconds = stage.size(60, 10)
    async with stage.database() as database:
        with stage.worker(database, slots=4) as worker:
            pid = worker.process.pid
            await TaskQueue(database).enqueue_many([NOOP] * WORKED_BEFORE)
            await until_none_is_live(database)
            await asyncio.sleep(SETTLING_SECONDS)
            await database.raw.command("profile", 2)
            computed_before = cpu_seconds(pid)
            await asyncio.sleep(seconds)
            computed = cpu_seconds(pid) - computed_before
            await database.raw.command("profile", 0)
            resident = resident_mib(pid)
        commands = await _commands(database)
    return [
        Row(id="idle worker, queries", value=commands / seconds, unit="1/s", bound="<=", target=1),
        Row(id="idle worker, computing", value=computed / seconds * 100, unit="% of core", bound="<=", target=1),
        Row(id="idle worker, memory", value=resident, unit="MiB", bound="<=", target=90),
    ]


async def _commands(database: Database) -> int:
    return await database.collection("system.profile").count_documents({"appName": {"$regex": "^appworker/"}})
