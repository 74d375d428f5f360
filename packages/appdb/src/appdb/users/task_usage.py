"""Usage of tasks: the calls that an attempt makes, recorded behind its fence with what the task works for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from appdb._driver import RawDocument, Session, decimal_of, stored_decimal
from appdb._queries import budgets as budget_queries
from appdb._queries import tasks as task_queries
from appdb._queries import tokens as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.models.bounds import Name, accept
from appdb.models.budgets import scopes_of
from appdb.models.tasks import Task
from appdb.models.tokens import CallUsage
from appdb.queue.fence import hold
from appdb.queue.lease import Lease
from appdb.users.model_usage import checked_usage
from appdb.utils import derived_id


class TaskUsage:
    """Records the calls that tasks make."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._usage = connection.collection(collections.USAGE)
        self._budgets = connection.collection(collections.BUDGETS)

    async def record_call(self, lease: Lease, task: Task, key: str, usage: CallUsage) -> str:
        """Record a call in the place of what an earlier attempt recorded under *key*, and return its id."""
        accept(Lease, lease, "lease")
        accept(Name, key, "key")
        accept(CallUsage, usage)
        usage_id = derived_id("tok_", task.id, "usage", key)
        fields = checked_usage(usage) | _made_for(task) | {"_id": usage_id}

        async def body(session: Session) -> None:
            before: RawDocument | None = await self._usage.find_one_and_update(
                {"_id": usage_id}, queries.replace(fields), {"cost": 1}, upsert=True, session=session
            )
            # What was recorded under the key before is spent already.
            added = usage.cost - (Decimal(0) if before is None else decimal_of(before["cost"]))
            await self._spend(lease, task, added, session)

        await self._connection.transaction(body)
        return usage_id

    async def _spend(self, lease: Lease, task: Task, added: Decimal, session: Session) -> None:
        """Make sure of the lease, and count the cost in every budget of the task, which reserves it no longer."""
        # The run needs no lock: its deletion cancels its tasks first, and usage outlives it (decision 0016).
        drawn = task_queries.touch() + budget_queries.drawn(stored_decimal(added))
        await hold(self._tasks, lease, drawn, (), session)
        if added:
            keys = [scope.key(task.owner_id) for scope in scopes_of(task.run_id, task.ancestor_runs)]
            spent = budget_queries.spend(stored_decimal(added))
            await self._budgets.update_many(budget_queries.by_keys(keys), spent, session=session)


def _made_for(task: Task) -> dict[str, Any]:
    return {
        "owner_id": task.owner_id,
        "task_id": task.id,
        "run_id": task.run_id,
        "branch_id": task.branch_id,
        "step_id": task.step,
        "module_name": task.module,
    }
