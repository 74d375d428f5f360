"""A cancelled call to the database ends, at whatever moment the cancel comes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from appdb import ChangeFeed, Database, NewTask, TaskQueue

ROUNDS = 25
AT_A_TIME = 5
LONGEST_LIFE_SECONDS = 0.02
SECONDS = 10


async def _end_all(call: Callable[[], Awaitable[object]]) -> int:
    """Cancel loops of *call* at moments of chance, and return how many did not end."""

    async def forever() -> None:
        while True:
            await call()

    unended = 0
    for _ in range(ROUNDS):
        running = {asyncio.create_task(forever()) for _ in range(AT_A_TIME)}
        await asyncio.sleep(random.uniform(0, LONGEST_LIFE_SECONDS))
        for one in running:
            one.cancel()
        _, pending = await asyncio.wait(running, timeout=SECONDS)
        unended += len(pending)
        while pending:  # once more, for what the first cancel did not reach
            for one in pending:
                one.cancel()
            _, pending = await asyncio.wait(pending, timeout=0.1)
    return unended


async def test_cancelled_reader_ends(database: Database) -> None:
    queue = TaskQueue(database)
    task = await queue.enqueue(NewTask(owner_id="usr_a", actor="echo", payload={}))

    assert await _end_all(lambda: queue.get(task.id, owner_id="usr_a")) == 0


async def test_cancelled_feed_ends(database: Database) -> None:
    assert await _end_all(lambda: ChangeFeed(database, events=True).run()) == 0
