"""BudgetRepository: limits of what runs and users may cost."""

from __future__ import annotations

from decimal import Decimal

from appdb._driver import Session, retried
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.models.budgets import Budget, BudgetScope
from appdb.users.budgets import Budgets


class BudgetRepository(BaseRepository):
    """Limits of what tasks may cost: of a run, of a user, and of a user in one day.

    A task that says what it may cost (``NewTask.reserves``) is enqueued only while that is within every limit, and
    reserves it until it ends, whichever way. What its calls cost (``TokenRepository.record_for_task``) is spent, and no
    longer reserved. A limit stops new tasks, never one that runs.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._budgets = Budgets(connection)

    @retried
    async def set_limit(
        self, scope: BudgetScope, amount: Decimal | None, *, owner_id: str, session: Session | None = None
    ) -> Budget:
        """Set, raise, lower or take away a limit, from now on and for every host at once; return the budget.

        What tasks have cost before counts too. In a caller's transaction the limit is made with what the transaction
        makes, such as a new run; costs that others record meanwhile for the first time may then be missed, so set the
        first limit of a user elsewhere.

        Args:
            scope: Which budget.
            amount: In US dollars; ``None`` for no limit, while costs are still counted.
            owner_id: Whose budget.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
            InvalidDataError: The amount is negative, over a billion, or finer than 12 decimal places; or the scope
                has a run too many, or none.
        """
        return await self._budgets.set_limit(scope, amount, owner_id, session)

    @retried
    async def get(self, scope: BudgetScope, *, owner_id: str, session: Session | None = None) -> Budget:
        """Return a budget as it stands now.

        Raises:
            NotFoundError: The owner has never set one there.
        """
        return await self._budgets.find_budget(scope, owner_id, session)

    @retried
    async def list_for(
        self, *, owner_id: str, run_id: str | None = None, session: Session | None = None
    ) -> list[Budget]:
        """Return all budgets that a task of the owner counts for: those of its run, of the owner and of the day.

        Args:
            owner_id: Whose task.
            run_id: The run that it works for, if it works for one.
            session: The caller's transaction.
        """
        return await self._budgets.budgets_of(owner_id, run_id, session)
