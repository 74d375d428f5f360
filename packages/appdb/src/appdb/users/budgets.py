"""Budgets: their limits are set, what was spent before is counted once, and they are read."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from appdb._driver import AFTER, RawDocument, Session, stored_decimal
from appdb._queries import budgets as queries
from appdb._queries import tasks as task_queries
from appdb._queries import workflow_runs as run_queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import NotFoundError
from appdb.models.bounds import Name, accept
from appdb.models.budgets import Budget, BudgetScope, Money, scopes_of
from appdb.run_lock import RunLock


class Budgets:
    """Sets and reads the limits of costs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._budgets = connection.collection(collections.BUDGETS)
        self._usage = connection.collection(collections.USAGE)
        self._tasks = connection.collection(collections.TASKS)
        self._runs = connection.collection(collections.WORKFLOW_RUNS)
        self._run_lock = RunLock(connection)

    async def set_limit(
        self, scope: BudgetScope, limit: Decimal | None, owner_id: str, session: Session | None
    ) -> Budget:
        """Set the limit of a budget, which counts from then on, and what was spent before it was made."""
        scope.check()
        accept(Money | None, limit, "amount")
        accept(Name, owner_id, "owner_id")
        if scope.run_id is not None:
            await self._run_lock.check_run(scope.run_id, owner_id, session)
        fields = {"_id": scope.key(owner_id), "owner_id": owner_id, "kind": scope.kind, "run_id": scope.run_id}
        # It counts first, and is limited then: whoever records a cost from now on finds it. Whoever began to do so
        # before holds a task, which the next transaction writes to, so that it waits for that cost and sums it up.
        begun: RawDocument = await self._budgets.find_one_and_update(
            {"_id": fields["_id"]}, queries.begin(fields), upsert=True, return_document=AFTER, session=session
        )
        if begun.get("counted"):
            await self._limit(scope, limit, owner_id, None, session)
        else:
            await self._connection.joined(partial(self._count_and_limit, scope, limit, owner_id), session)
        return await self.find_budget(scope, owner_id, session)

    async def _count_and_limit(
        self, scope: BudgetScope, limit: Decimal | None, owner_id: str, session: Session
    ) -> None:
        await self._limit(scope, limit, owner_id, await self._spent(scope, owner_id, session), session)

    async def _limit(
        self, scope: BudgetScope, limit: Decimal | None, owner_id: str, spent: Any, session: Session | None
    ) -> None:
        stored = None if limit is None else stored_decimal(limit)
        update = queries.set_limit(stored, spent)
        await self._budgets.update_one({"_id": scope.key(owner_id)}, update, session=session)

    async def _spent(self, scope: BudgetScope, owner_id: str, session: Session) -> Any:
        await self._tasks.update_many(queries.working(owner_id), task_queries.touch(), session=session)
        runs = await self._tree(scope.run_id, session)
        sums = self._usage.aggregate(queries.ledger(scope.kind, owner_id, runs), session=session)
        rows = [row async for row in sums]
        return rows[0]["cost"] if rows else stored_decimal(Decimal(0))

    async def _tree(self, run_id: str | None, session: Session) -> set[str]:
        """Return the run and all its child runs."""
        found: set[str] = set()
        level = set() if run_id is None else {run_id}
        while level:
            found |= level
            children = self._runs.find(run_queries.children_of(level), {"_id": 1}, session=session)
            level = {row["_id"] async for row in children} - found
        return found

    async def find_budget(self, scope: BudgetScope, owner_id: str, session: Session | None) -> Budget:
        """Return a budget as it stands now."""
        scope.check()
        found = [one for one in await self._standing([scope], owner_id, session) if one.owner_id == owner_id]
        if not found:
            raise NotFoundError("budget", scope.run_id or scope.kind)
        return found[0]

    async def budgets_of(self, owner_id: str, run_id: str | None, session: Session | None) -> list[Budget]:
        """Return all budgets that a task of the owner's run, or of none, counts for."""
        found = await self._standing(scopes_of(run_id), owner_id, session)
        return [one for one in found if one.owner_id == owner_id]

    async def _standing(self, scopes: list[BudgetScope], owner_id: str, session: Session | None) -> list[Budget]:
        keys = [scope.key(owner_id) for scope in scopes]
        found = self._budgets.aggregate(queries.standing(keys), session=session)
        rows = {row["_id"]: row async for row in found}
        return [Budget.from_document(rows[key]) for key in keys if key in rows]
