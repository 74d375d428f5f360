"""Admission: a new task is stored only while its run is there, and budgets have room for what it reserves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from appdb._driver import Session
from appdb.connection import Connection
from appdb.models.tasks import Task
from appdb.queue.budget_check import BudgetCheck, reserving
from appdb.queue.cancel import TaskCanceller
from appdb.queue.enqueue import Enqueuer
from appdb.queue.task_document import NewTaskDocument
from appdb.run_lock import RunLock, no_run

RunOfOwner = tuple[str, str]
"""A run's id and its owner's."""
Ancestors = Mapping[str, Sequence[str]]
"""By run, the runs that it is a part of."""


class Admission:
    """
    Lets new tasks in, and refuses those of runs that are being deleted.

    A run's deletion cancels the tasks that it finds. In a caller's transaction the run lock decides which of both
    comes first. Elsewhere a look after the write tells whether the deletion has found the task: that holds up no
    writer of the run, and a task that came too late is cancelled here.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._budgets = BudgetCheck(connection)
        self._enqueuer = Enqueuer(connection)
        self._canceller = TaskCanceller(connection)
        self._run_lock = RunLock(connection)

    async def admit(self, new: NewTaskDocument, session: Session | None) -> Task:
        """Store *new* as ``Enqueuer.enqueue_one`` does; for one of a run, two round trips more.

        In a transaction it is one, and none where that has written to the run before.

        Raises:
            NotFoundError: Its owner has no such run, or it is being deleted.
            BudgetExceededError: It may cost more than a budget has left.
        """
        if session is None and reserving([new.task]):
            return await self._connection.transaction(partial(self.admit, new))
        runs = _runs_of([new])
        (new,) = _placed([new], await self._check_before(runs, session))
        stored = await self._enqueuer.enqueue_one(new, session)
        await self._check_after([new], runs, session)
        return stored

    async def admit_all(self, new: Sequence[NewTaskDocument], session: Session | None) -> list[str]:
        """Store *new* as ``Enqueuer.enqueue_all`` does; two round trips more where some work for runs.

        In a transaction one for each run to which that has not written before.

        Raises:
            NotFoundError: An owner has no such run, or it is being deleted.
            BudgetExceededError: They may cost more than a budget has left.
        """
        if session is None and reserving([one.task for one in new]):
            return await self._connection.transaction(partial(self.admit_all, new))
        runs = _runs_of(new)
        new = _placed(new, await self._check_before(runs, session))
        stored = await self._enqueuer.enqueue_all(new, session)
        await self._check_after(new, runs, session)
        return stored

    async def _check_before(self, runs: Collection[RunOfOwner], session: Session | None) -> Ancestors:
        """Return the runs of which the *runs* are parts, as far as the transaction knows them."""
        if session is not None:
            # In one order: of two transactions that lock the same runs, the one that comes first goes on.
            return {run_id: await self._run_lock.hold(run_id, owner_id, session) for run_id, owner_id in sorted(runs)}
        for run_id, _ in await self._run_lock.missing_runs(runs):
            raise no_run(run_id)
        return {}

    async def _check_after(
        self, new: Sequence[NewTaskDocument], runs: Collection[RunOfOwner], session: Session | None
    ) -> None:
        if session is not None:
            await self._budgets.check(new, session)
            return
        # The deletion of a run cancels the tasks that it finds; one that was stored behind its look is cancelled here.
        missing = await self._run_lock.missing_runs(runs)
        for run_id, owner_id in missing:
            await self._canceller.cancel_run(run_id, owner_id)
        for run_id, _ in missing:
            raise no_run(run_id)


def _placed(new: Sequence[NewTaskDocument], ancestors: Ancestors) -> list[NewTaskDocument]:
    return [one.below(ancestors.get(one.task.run_id or "", ())) for one in new]


def _runs_of(new: Sequence[NewTaskDocument]) -> set[RunOfOwner]:
    return {(run_id, one.task.owner_id) for one in new if (run_id := one.task.run_id) is not None}
