"""Conflicts of claimers: write conflicts that the server counts, for each claim that took tasks.

There is no floor: a conflict is work done twice. The median of three, since a moment in which the server stands still
brings all claimers to the same tasks. The claimers are as different as workers are, each with a queue object
and an id of its own; they come one after the other within some seconds, and together claim a backlog to its end.
"""

from __future__ import annotations

import asyncio
import random
from statistics import median

from appbench.rows import Row
from appbench.stage import NOOP, QUEUE, BenchError, Stage
from appdb import Claimer, Database, TaskQueue
from appdb.host import handler

CLAIMERS = 64
SEVERAL = 8
AT_ONCE = 1_000
ARRIVAL_SECONDS = 2
HANDLER = handler(NOOP.actor, NOOP.actor_version)


async def measure(stage: Stage) -> list[Row]:
    """Let 64 claimers with one slot each claim a backlog, then 64 with several."""
    return [
        Row(
            id=f"write conflicts per claim, {CLAIMERS} claimers, {slots} slot{'s' if slots > 1 else ''}",
            value=median([await _conflicts(stage, slots, backlog) for _ in range(stage.size(3, 1))]),
            unit="conflicts",
            bound="<=",
            target=0.1,
        )
        for slots, backlog in ((1, stage.size(8, 2)), (SEVERAL, stage.size(20, 6)))
    ]


async def _conflicts(stage: Stage, slots: int, thousands: int) -> float:
    async with stage.database() as database:
        for _ in range(thousands):
            await TaskQueue(database).enqueue_many([NOOP] * AT_ONCE)
        before = await _counted(database)
        counts = await asyncio.gather(*(_claim_all(database, number, slots) for number in range(CLAIMERS)))
        conflicts = await _counted(database) - before
    if (taken := sum(tasks for _, tasks in counts)) != thousands * AT_ONCE:
        raise BenchError(f"{taken} of {thousands * AT_ONCE} tasks were claimed")
    return conflicts / sum(claims for claims, _ in counts)


async def _claim_all(database: Database, number: int, slots: int) -> tuple[int, int]:
    """Claim until there is nothing, and return how many claims took something, and how many tasks that were."""
    await asyncio.sleep(random.uniform(0, ARRIVAL_SECONDS))
    queue = TaskQueue(database)
    claimer = Claimer(worker_id=f"bench-{number}", queues=(QUEUE,), handlers=(HANDLER,))
    claims = tasks = 0
    while taken := await queue.claim(claimer, limit=slots):
        claims += 1
        tasks += len(taken)
    return claims, tasks


async def _counted(database: Database) -> int:
    status = await database.raw.client.admin.command("serverStatus")
    counted: int = status["metrics"]["operation"]["writeConflicts"]
    return counted
