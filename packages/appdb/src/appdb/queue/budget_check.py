"""The budget check: tasks that reserve what they may cost are let in while it is within every limit."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from appdb._driver import Session
from appdb._queries import budgets as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import BudgetExceededError
from appdb.models.budgets import Budget, scopes_of
from appdb.models.tasks import NewTask
from appdb.queue.task_document import NewTaskDocument


class BudgetCheck:
    """
    Refuses tasks over a budget, in the transaction that has stored them.

    What is reserved is counted from the live tasks themselves, so that no end of a task, by whichever path, can
    forget or repeat its release (decision 0022). All who let something in write to the budget that they have
    counted, and so does who records a cost: of two that counted the same, one begins again.
    """

    def __init__(self, connection: Connection) -> None:
        self._budgets = connection.collection(collections.BUDGETS)

    async def check(self, new: Sequence[NewTaskDocument], session: Session) -> None:
        """Check that tasks, which are stored, fit; a round trip where some reserve, and another under a limit.

        Raises:
            BudgetExceededError: They do not; the transaction must not be committed.
        """
        tasks = [one for one in new if one.task.reserves is not None]
        keys = {scope.key(one.task.owner_id) for one in tasks for scope in scopes_of(one.task.run_id, _above(one))}
        if not keys:
            return
        found = self._budgets.aggregate(queries.standing(keys, limited=True), session=session)
        budgets = [Budget.from_document(row) async for row in found]
        for budget in budgets:
            _check(budget, _asked(budget, tasks))
        if budgets:
            counted = queries.by_keys([budget.id for budget in budgets])
            await self._budgets.update_many(counted, queries.touch(), session=session)


def reserving(tasks: Sequence[NewTask]) -> list[NewTask]:
    """Return those of *tasks* that say what they may cost."""
    return [task for task in tasks if task.reserves is not None]


def _asked(budget: Budget, tasks: Sequence[NewTaskDocument]) -> Decimal:
    mine = [one for one in tasks if one.task.owner_id == budget.owner_id]
    counted = [one.task for one in mine if budget.run_id in {None, one.task.run_id, *_above(one)}]
    return sum((task.reserves or Decimal(0) for task in counted), Decimal(0))


def _above(new: NewTaskDocument) -> list[str]:
    above: list[str] = new.fields.get("ancestor_runs", [])
    return above


def _check(budget: Budget, asked: Decimal) -> None:
    if budget.limit is None:
        return
    total = budget.spent + budget.reserved
    # A task that may cost anything is let in while something is left.
    if total > budget.limit or (not asked and total == budget.limit):
        before = budget.reserved - min(asked, budget.reserved)
        raise BudgetExceededError(budget.id, budget.limit, budget.spent, before, asked)
