"""A distant database: each round trip takes long, and nothing else changes."""

from __future__ import annotations

import time

import pytest

from appdb import Claimer, Database, Lease, Limit, NewTask, TaskQueue
from appsupport.mongo.distant_database import far_away

ME = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))
KEYS = 12


@pytest.mark.parametrize("round_trip", [0.083, 0.4])
async def test_distant_database_serves_tasks_with_limits(database: Database, mongo_uri: str, round_trip: float) -> None:
    limits = [Limit(key=f"provider:{number}", concurrency=1, rate=5) for number in range(KEYS)]
    tasks = [NewTask(owner_id=f"usr_{n}", actor="echo", payload={}, limits=(limit,)) for n, limit in enumerate(limits)]
    await TaskQueue(database).enqueue_many(tasks)

    with far_away(mongo_uri, round_trip) as uri:
        async with Database(uri, database.name) as far:
            queue = TaskQueue(far)
            asked_at = time.monotonic()
            taken = await queue.claim(ME, limit=KEYS)
            took = time.monotonic() - asked_at
            await queue.complete(Lease.of(taken[0]))

    assert len(taken) == 8, "the tasks of eight owners are looked at together"
    # A look, candidates, five in the transaction and the tasks: eight, whatever the number of keys; and connections.
    assert took < 8 * round_trip + 6 * round_trip + 1
