"""History: the cost of a claim beside a long history, over its cost beside none.

Same work: the same claims of the same backlog. The floor is ours too, in a database without a history; it is asked in
turns with the one that has a million finished tasks and a tenth as many scheduled ones.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from appbench.conflicts import HANDLER
from appbench.floors import TASKS, TaskForm
from appbench.rows import Row
from appbench.stage import NOOP, QUEUE, BenchError, Stage
from appdb import Claimer, Database, TaskQueue, TaskState

SEEDS = 1_000
SCHEDULED_SHARE = 10
SLOTS = 32
AT_ONCE = 1_000


async def measure(stage: Stage) -> list[Row]:
    """Claim in turns, one task at a time and then many."""
    ones, manys = stage.size(500, 150), stage.size(60, 25)
    async with stage.database() as empty, stage.database() as full:
        await _fill(stage, full)
        with_history, without = _Claims(full), _Claims(empty)
        for _ in range(0, ones + manys * SLOTS, AT_ONCE):
            await with_history.queue.enqueue_many([NOOP] * AT_ONCE)
            await without.queue.enqueue_many([NOOP] * AT_ONCE)
        await full.raw.client.admin.command("fsync")
        return [
            await _row(with_history, without, "claim of one, long history", 1, ones),
            await _row(with_history, without, f"claim of {SLOTS}, long history", SLOTS, manys),
        ]


@dataclass
class _Claims:
    database: Database
    queue: TaskQueue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = TaskQueue(self.database)

    async def milliseconds(self, limit: int) -> float:
        claimer = Claimer(worker_id="bench", queues=(QUEUE,), handlers=(HANDLER,))
        began = time.perf_counter()
        taken = await self.queue.claim(claimer, limit=limit)
        took = time.perf_counter() - began
        if len(taken) != limit:
            raise BenchError(f"{len(taken)} tasks were claimed instead of {limit}")
        return took * 1_000


async def _row(with_history: _Claims, without: _Claims, name: str, limit: int, claims: int) -> Row:
    ours, floor = [], []
    for _ in range(claims):
        floor.append(await without.milliseconds(limit))
        ours.append(await with_history.milliseconds(limit))
    return Row(id=name, value=median(ours), unit="ms", bound="<=", floor=median(floor), target=1.3)


async def _fill(stage: Stage, database: Database) -> None:
    """Let the server multiply some documents; the indexes come after, which is faster than to keep them meanwhile."""
    unlimited = Database(stage.uri, database.name, operation_timeout=None)
    try:
        finished, scheduled = stage.history, stage.history // SCHEDULED_SHARE
        form = await TaskForm.of(unlimited)
        await _seed(unlimited, "seeds", TaskState.COMPLETED, form)
        await _seed(unlimited, "later", TaskState.SCHEDULED, form)
        await unlimited.collection(TASKS).drop()
        union = {"$unionWith": {"coll": "later", "pipeline": _copies(scheduled // SEEDS)}}
        stages = [*_copies(finished // SEEDS), union, {"$out": TASKS}]
        _ = [row async for row in unlimited.collection("seeds").aggregate(stages)]
        await unlimited.collection(TASKS).create_indexes(form.indexes)
    finally:
        await unlimited.close()


async def _seed(database: Database, collection: str, state: TaskState, form: TaskForm) -> None:
    times: dict[str, Any] = {"$currentDate": {"finished_at": True}} if state.final else {}
    seeds = form.documents(SEEDS)
    await database.collection(collection).insert_many(seeds)
    await database.collection(collection).update_many({}, {"$set": {"state": state}} | times)


def _copies(each: int) -> list[dict[str, Any]]:
    """Make *each* copies of every seed: ids of their own, final a second apart, due after years."""
    back = {"$multiply": ["$copy", -1_000]}
    ahead = {"$multiply": [{"$add": ["$copy", 1]}, 1_000 * 1_000_000]}
    is_final = {"$ne": ["$finished_at", None]}
    return [
        {"$set": {"copy": {"$range": [0, each]}}},
        {"$unwind": "$copy"},
        {
            "$set": {
                "_id": {"$concat": ["$_id", "_", {"$toString": "$copy"}]},
                "finished_at": {"$cond": [is_final, {"$add": ["$finished_at", back]}, None]},
                "run_at": {"$cond": [is_final, "$run_at", {"$add": ["$run_at", ahead]}]},
            }
        },
        {"$unset": "copy"},
    ]
