"""Claims of the engine's loop: due tasks that a claim has left are asked for again, soon and not all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from appdb import ChangeFeed, Claimer, Database, Lease, Limit, Task, TaskQueue, TaskState
from appdb.models import TaskFilter
from appserver.engine.core.engine_tasks import look
from appserver.engine.runner.loop import LIMITED_POLL, EngineLoop
from appserver.engine.runner.stores import EngineStores
from appserver.engine.service import EngineService
from appserver.modules.builtin import host_registry
from appsupport.mongo.running_feed import running_feed

OWNER = "usr_a"
OTHER = Claimer(worker_id="eng_other", queues=("engine",), handlers=("engine.advance@1",))
ONE = Limit(key="engine:one", concurrency=1)
FULL_SECONDS = 1.5
SOON = 4
"""Well before the loop looks without any reason."""


class CountingQueue(TaskQueue):
    """Counts how often it is claimed from."""

    claims = 0

    async def claim(self, claimer: Claimer, *, limit: int = 1) -> list[Task]:
        """Claim, and count it."""
        self.claims += 1
        return await super().claim(claimer, limit=limit)


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[ChangeFeed]:
    async with running_feed(database, events=False, runs=True) as running:
        yield running


@asynccontextmanager
async def looping(database: Database, feed: ChangeFeed) -> AsyncIterator[CountingQueue]:
    """Run the loop of a host with four slots."""
    registry, queue = host_registry(), CountingQueue(database)
    service = EngineService(EngineStores.of(database, TaskQueue(database)), registry)
    loop = EngineLoop(service.advancer, service.looks, queue, feed, registry, 4)
    running = asyncio.create_task(loop.run())
    try:
        yield queue
    finally:
        loop.stop()
        await running


async def test_task_that_a_limit_held_back_is_done_soon(database: Database, feed: ChangeFeed) -> None:
    """Of a run that is gone, so that there is nothing to do for it."""
    queue = TaskQueue(database)
    for run_id in ("wf_first", "wf_second"):
        await queue.enqueue(replace(look(OWNER, run_id), limits=(ONE,), run_id=None))
    (held,) = await queue.claim(OTHER, limit=1)

    async with looping(database, feed) as claimed_from:
        await asyncio.sleep(FULL_SECONDS)
        while_full = claimed_from.claims
        await queue.complete(Lease.of(held))
        async with asyncio.timeout(SOON):
            while await queue.find(TaskFilter(owner_id=OWNER, states=frozenset({TaskState.QUEUED}))):
                await asyncio.sleep(0.05)

    assert 2 <= while_full <= 2 + FULL_SECONDS / (0.8 * LIMITED_POLL.total_seconds())
