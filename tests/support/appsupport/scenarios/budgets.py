"""Scenarios of ``BudgetRepository``."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from appdb import BudgetRepository, TaskQueue
from appdb._driver import RawDocument, stored_decimal
from appdb.models import Budget, BudgetKind, BudgetScope
from appsupport.scenarios.held_tasks import new_task
from appsupport.scenarios.scenario import Scenario, Scenes, Stage
from appsupport.scenarios.staged_runs import opened

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TASKS = 3


def of_run(run_id: str) -> BudgetScope:
    return BudgetScope(kind=BudgetKind.RUN, run_id=run_id)


async def budgeted(stage: Stage) -> str:
    """Make budgets of a run and its owner with tasks that reserve, and return the run's id."""
    run_id, budgets = await opened(stage), BudgetRepository(stage.database)
    for scope in (of_run(run_id), BudgetScope(kind=BudgetKind.USER), BudgetScope(kind=BudgetKind.DAY)):
        await budgets.set_limit(scope, Decimal(100), owner_id=stage.owner)
    tasks = [new_task(stage, run_id=run_id, reserves=Decimal(1)) for _ in range(TASKS)]
    await TaskQueue(stage.database).enqueue_many(tasks)
    return run_id


async def _list(budgets: BudgetRepository, run_id: str, owner_id: str) -> list[Budget]:
    return await budgets.list_for(owner_id=owner_id, run_id=run_id)


async def _set(budgets: BudgetRepository, run_id: str, owner_id: str) -> Budget:
    return await budgets.set_limit(of_run(run_id), Decimal(7), owner_id=owner_id)


def _get(budgets: Any, run_id: str, owner_id: str) -> Any:
    return budgets.get(of_run(run_id), owner_id=owner_id)


def _budget(number: int) -> RawDocument:
    run_id = f"wf_{number:032x}"
    base = {"_id": f"run:{run_id}", "owner_id": f"usr_{number % 2_000:032x}", "run_id": run_id, "kind": "run"}
    sums = {"limit": stored_decimal(Decimal(1)), "spent": 0, "day": None, "counted": True}
    return base | sums | {"created_at": LONG_AGO, "updated_at": LONG_AGO}


SCENES = Scenes(
    subject=BudgetRepository,
    scenarios=(
        Scenario(method="BudgetRepository.set_limit", prepare=budgeted, call=_set),
        Scenario(method="BudgetRepository.set_limit", about="the first", prepare=opened, call=_set),
        Scenario(method="BudgetRepository.get", prepare=budgeted, call=_get),
        Scenario(method="BudgetRepository.list_for", prepare=budgeted, call=_list, extra_keys=3 * TASKS),
    ),
    plain=frozenset({"owner_id", "run_id", "scope.run_id", "scope.kind"}),
    crowds={"budgets": _budget},
)
