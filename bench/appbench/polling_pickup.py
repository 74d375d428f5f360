"""Polling pickup: the time until an idle worker starts a task without change streams; its poll has a bound."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appbench.rows import Row
from appbench.stage import NOOP, Stage
from appbench.watching import result_of
from appdb import Database, TaskQueue

CHANGE_STREAM_FATAL_ERROR = 280


async def measure(stage: Stage) -> list[Row]:
    """Pick up one task at a time, at any phase of the poll."""
    waits = []
    async with stage.database() as database, without_change_streams(database):
        queue = TaskQueue(database)
        with stage.worker(database, slots=4):
            for _ in range(stage.size(30, 6)):
                began = time.time()
                task = await queue.enqueue(NOOP)
                result = await result_of(database, task.id)
                waits.append(result["at"] - began)
                await asyncio.sleep(random.uniform(0, 0.5))
    name = "pickup without change streams, longest"
    return [Row(id=name, value=max(waits), unit="s", bound="<=", target=1.5)]


@asynccontextmanager
async def without_change_streams(database: Database) -> AsyncIterator[None]:
    """Let the server refuse change streams over *database*, the only aggregates over a database as a whole."""
    admin = database.raw.client.admin
    data = {
        "failCommands": ["aggregate"],
        "errorCode": CHANGE_STREAM_FATAL_ERROR,
        "namespace": f"{database.name}.$cmd.aggregate",
    }
    await admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
    try:
        yield
    finally:
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})
