"""Pickup: the time from before the enqueue to the actor's first line in an idle worker.

Same work: a process of its own waits on a change stream, wakes at the insert of the same document, and claims it with
one findOneAndUpdate. All processes are on this machine, so they share a clock. Ours and the floor take turns, task by
task, so that both meet the same noise.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path

from appbench.floors import CLAIM_KEY, FLOOR, Floors, bare_collection
from appbench.rows import Row
from appbench.stage import NOOP, Stage
from appbench.watching import result_of
from appdb import Database, TaskQueue

_WAITER = Path(__file__).parent / "bare_waiter.py"
QUIET_SECONDS = 0.06
"""Nobody asks for the outcome before it is there, since a question costs the server time."""
WARM_UP = 10


async def measure(stage: Stage) -> list[Row]:
    """Pick up one task at a time."""
    ours, floor = [], []
    async with stage.database() as database, bare_collection(stage, database) as floors:
        queue = TaskQueue(database)
        waiter = stage.start("bare-waiter", [str(_WAITER), floors.form.document[CLAIM_KEY]], database)
        try:
            waiter.wait_for("(ready)")
            with stage.worker(database, slots=4):
                for _ in range(stage.size(300, 60) + WARM_UP):
                    floor.append(await _floor(database, floors))
                    ours.append(await _ours(database, queue))
        finally:
            waiter.stop()
    ours, floor = ours[WARM_UP:], floor[WARM_UP:]
    return [
        Row(id=f"pickup p{p}", value=percentile(ours, p), unit="ms", bound="<=", floor=percentile(floor, p), target=t)
        for p, t in ((50, 1.3), (99, 2.0))
    ]


async def _ours(database: Database, queue: TaskQueue) -> float:
    began = time.time()
    task = await queue.enqueue(NOOP)
    return await _waited(database, task.id, "tasks", began)


async def _floor(database: Database, floors: Floors) -> float:
    [document] = floors.form.documents(1)
    began = time.time()
    await floors.tasks.insert_one(document)
    return await _waited(database, document["_id"], FLOOR, began)


async def _waited(database: Database, task_id: str, collection: str, began: float) -> float:
    await asyncio.sleep(QUIET_SECONDS)
    result = await result_of(database, task_id, collection=collection)
    await asyncio.sleep(random.uniform(0.02, 0.05))
    return float(result["at"] - began) * 1_000


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest of *values* that *percent* of them do not pass."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]
