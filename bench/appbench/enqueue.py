"""Enqueue: the speed at which tasks are accepted, one by one and in batches.

Same work: the same documents go into a collection with the same indexes, each call journaled on a majority. The floor's
documents are made beforehand; ours are made, checked and given the server's time within the measured call.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median
from typing import Any

from appbench.floors import Floors, bare_collection, rate
from appbench.rows import Row
from appbench.stage import IN_FLIGHT, NOOP, Stage
from appdb import TaskQueue

BATCH = 1_000


async def measure(stage: Stage) -> list[Row]:
    """Enqueue in turns with bare inserts."""
    async with stage.database() as database, bare_collection(stage, database) as floors:
        queue = TaskQueue(database)
        single = await _single(stage, queue, floors)
        batch = await _batch(stage, queue, floors)
    return [single, batch]


async def _single(stage: Stage, queue: TaskQueue, floors: Floors) -> Row:
    count = stage.size(2_000, 800)
    ours, floor = [], []
    for _ in range(stage.size(5, 3)):
        floor.append(await rate(count, _inserting(floors, floors.form.documents(count))))
        ours.append(await rate(count, partial(queue.enqueue, NOOP)))
    name = f"enqueue, {IN_FLIGHT} in flight"
    return Row(id=name, value=median(ours), unit="1/s", bound=">=", floor=median(floor), target=0.9)


def _inserting(floors: Floors, ready: list[dict[str, Any]]) -> Callable[[], Awaitable[object]]:
    return lambda: floors.tasks.insert_one(ready.pop())


async def _batch(stage: Stage, queue: TaskQueue, floors: Floors) -> Row:
    tasks = [NOOP] * BATCH
    ours, floor = [], []
    for _ in range(stage.size(15, 5)):
        floor.append(await _per_second(partial(floors.tasks.insert_many, floors.form.documents(BATCH))))
        ours.append(await _per_second(partial(queue.enqueue_many, tasks)))
    name = f"enqueue, batches of {BATCH:,}"
    return Row(id=name, value=median(ours), unit="1/s", bound=">=", floor=median(floor), target=0.8)


async def _per_second(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return BATCH / (time.perf_counter() - began)
