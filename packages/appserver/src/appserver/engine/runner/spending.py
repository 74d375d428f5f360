"""Spending: what the work of a run cost when it was done last, so that a plan can say what it will cost again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from appdb import NotFoundError
from appdb.models import RunState, RunStatus, RunView, SubAction, Usage, UsageFilter
from appserver.engine.core.costs import Cost, Spent, cost_of_run, costing_work
from appserver.engine.runner.stores import EngineStores

PAGE = 500
MOST_PAGES = 4
"""Of a run's newest calls; what older ones cost is left out, and the estimates of their tasks stand in."""
MOST_CHILDREN = 200
"""Child runs, at all depths, that one plan reads; of the cost of those beyond nothing is known."""
AT_ONCE = 16


class Spending:
    """
    Reads what work has cost, for one plan.

    Args:
        stores: Where runs are.
        owner_id: Whose run.
    """

    def __init__(self, stores: EngineStores, owner_id: str) -> None:
        self._stores = stores
        self._owner_id = owner_id
        self._left = MOST_CHILDREN
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def of(self, run_id: str, state: RunState, work: Sequence[SubAction]) -> Spent:
        """Return what *work* of a run has cost.

        One round trip for each 500 calls of the run, where some of it are tasks; for each child run in it one, and its
        calls.

        Args:
            run_id: The run.
            state: Its state.
            work: Tasks and child runs.
        """
        kinds = {str(sub.started.data["id"]): sub.started.data["kind"] for sub in work}
        calls = await self._calls(run_id) if "task" in kinds.values() else []
        children = [name for name, kind in kinds.items() if kind == "child"][: self._left]
        self._left -= len(children)
        costs = await asyncio.gather(*map(self._child, children))
        known = {name: cost for name, cost in zip(children, costs, strict=True) if cost is not None}
        return Spent(tasks=_by_task(calls), children=known, modules=_by_module(calls, state))

    async def _child(self, run_id: str) -> Cost | None:
        """Return what a child run would cost again, with all that is below it; ``None`` for one that is gone."""
        view = await self._read(run_id)
        if view is None:
            return None
        work = [sub for key in view.state.started for sub in costing_work(view.state, key)]
        cost = cost_of_run(view.state, await self.of(run_id, view.state, work))
        # One that has not completed may have more to do than it has begun.
        return cost if view.run.status is RunStatus.COMPLETED else replace(cost, whole=False)

    async def _read(self, run_id: str) -> RunView | None:
        async with self._turns:
            try:
                return await self._stores.states.read(run_id, owner_id=self._owner_id)
            except NotFoundError:
                return None

    async def _calls(self, run_id: str) -> list[Usage]:
        found: list[Usage] = []
        wanted = UsageFilter(run_id=run_id)
        async with self._turns:
            for _ in range(MOST_PAGES):
                before = found[-1].id if found else None
                page = await self._stores.usage.page(owner_id=self._owner_id, wanted=wanted, before=before, limit=PAGE)
                found += page
                if len(page) < PAGE:
                    break
        return found


def _by_task(calls: Sequence[Usage]) -> dict[str, Decimal]:
    spent: dict[str, Decimal] = {}
    for usage in calls:
        if usage.task_id is not None:
            spent[usage.task_id] = spent.get(usage.task_id, Decimal(0)) + usage.cost
    return spent


def _by_module(calls: Sequence[Usage], state: RunState) -> dict[str, Decimal]:
    starts = {module: start.created_at for (_, module), start in state.started.items()}
    spent: dict[str, Decimal] = {}
    for usage in calls:
        began = starts.get(usage.module_name or "")
        if usage.task_id is None and usage.module_name is not None and began is not None and usage.created_at >= began:
            spent[usage.module_name] = spent.get(usage.module_name, Decimal(0)) + usage.cost
    return spent
