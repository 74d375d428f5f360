"""A worker that dies at each command between the claim of a task and its end, sent or not, applied or not."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from appdb import BudgetRepository, Task, TaskState
from appdb.models import BudgetKind, BudgetScope
from appdemo.host import Host
from appsupport.faults.crash_points import VARIABLE
from appsupport.faults.worker_fleet import LEASE_SECONDS, NOISE_SECONDS, OWNER, RECOVER_SECONDS, Fleet, whole

pytest_plugins = ["appsupport.faults.worker_fleet_fixture"]
pytestmark = pytest.mark.timeout(3600)
MOST_POINTS = 150
DEATH = -9


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A task's way: the payload that sets its steps, and its worker's slots.

    Args:
        slots: More than one lets the worker claim several at once.
        payload: What the actor does.
        short_step: The short form tries every so manyth command; ``APP_TEST_FAULT_ROUNDS``, with any number, all.
    """

    slots: int
    payload: dict[str, Any]
    short_step: int


LIVES = {
    "content": Life(slots=1, payload={"steps": 2, "items": 1}, short_step=4),
    "retry": Life(slots=3, payload={"steps": 1, "failures": 1}, short_step=2),
    "costs": Life(slots=1, payload={"steps": 2, "calls": 2, "reserves": Decimal(1)}, short_step=3),
}


async def meet(fleet: Fleet, life: Life, point: str) -> tuple[Task, bool]:
    """Run a task on a worker that dies at *point*, and return whether it did; no other worker takes that task."""
    queue = f"crash-{point}"
    task = await fleet.add(queue=queue, **life.payload)
    worker = fleet.launch(slots=life.slots, APPWORKER_QUEUES=queue, **{VARIABLE: point})
    async with asyncio.timeout(60):
        while worker.process.poll() is None and not (await fleet.get(task)).state.final:
            await asyncio.sleep(0.05)
    return task, await died(worker)


async def died(worker: Host) -> bool:
    """Stop the worker if it lives, and return whether it had died as it was to."""
    await asyncio.to_thread(worker.stop)
    assert worker.process.returncode in (DEATH, 0), worker.log.read_text()[-2000:]
    return bool(worker.process.returncode == DEATH)


@pytest.mark.short
@pytest.mark.parametrize("name", LIVES)
async def test_worker_may_die_at_every_command(fleet: Fleet, name: str) -> None:
    met: list[Task] = []
    life = LIVES[name]
    budgets, scope = BudgetRepository(fleet.database), BudgetScope(kind=BudgetKind.USER)
    await budgets.set_limit(scope, Decimal(1_000), owner_id=OWNER)
    for number in range(1, MOST_POINTS, 1 if whole() else life.short_step):
        lives = [meet(fleet, life, f"{when}:{number}") for when in ("before", "after")]
        deaths = [task for task, dead in await asyncio.gather(*lives) if dead]
        if not deaths:
            break
        met += deaths
    assert not deaths, f"the task's life had no end after {MOST_POINTS} commands"
    queues = ",".join([task.queue for task in met])
    fleet.start(slots=8, APPWORKER_QUEUES=queues)
    await fleet.ledger.settle(LEASE_SECONDS + RECOVER_SECONDS + 10 * NOISE_SECONDS)
    facts = await fleet.ledger.check()

    assert len(met) >= 4
    assert {facts.tasks[task.id]["state"] for task in met} == {TaskState.COMPLETED}
    if name == "content":
        assert {row["task_id"] for row in facts.contents} >= {task.id for task in met}
    calls = Counter(row["task_id"] for row in facts.usage)
    assert [calls[task.id] for task in met] == [life.payload.get("calls", 0)] * len(met)
    assert [budget.reserved for budget in facts.budgets] == [Decimal(0)]
