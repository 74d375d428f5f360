"""Admitting new tasks: those that work for a run are stored only while the run is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from appdb._driver import Session
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.models.tasks import NewTask, Task
from appdb.queue.enqueue import Enqueuer, check
from appdb.queue.stopping import Stopping
from appdb.run_lock import RunLock, no_run


class Admission(BaseRepository):
    """
    Lets tasks in.

    A run's deletion cancels the tasks that it finds. In a caller's transaction the run's fence decides which of both
    comes first. Elsewhere a look after the write tells whether the deletion has found the task: that holds up nobody
    who writes to the run, and a task that came too late is cancelled here.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._enqueuer = Enqueuer(connection)
        self._stopping = Stopping(connection)
        self._run_lock = RunLock(connection)

    async def add(
        self, task: NewTask, task_id: str, session: Session | None, more: Mapping[str, Any] | None = None
    ) -> Task:
        """Store *task* as ``Enqueuer.add`` does; for one of a run, a round trip more in a transaction, else two.

        Raises:
            NotFoundError: Its owner has no such run, or it is being deleted.
        """
        if task.run_id is None:
            return await self._enqueuer.add(task, task_id, session, more)
        check(task)
        if session is not None:
            await self._run_lock.lock(task.run_id, task.owner_id, session)
            return await self._enqueuer.add(task, task_id, session, more)
        runs = {(task.run_id, task.owner_id)}
        await self._check(runs)
        stored = await self._enqueuer.add(task, task_id, None, more)
        await self._check_again(runs)
        return stored

    async def add_many(self, tasks: Sequence[NewTask], ids: Sequence[str]) -> list[str]:
        """Store *tasks* as ``Enqueuer.add_many`` does; two round trips more where some work for runs.

        Raises:
            NotFoundError: An owner has no such run, or it is being deleted.
        """
        runs = {(task.run_id, task.owner_id) for task in tasks if task.run_id is not None}
        if not runs:
            return await self._enqueuer.add_many(tasks, ids)
        for task in tasks:
            check(task)
        await self._check(runs)
        stored = await self._enqueuer.add_many(tasks, ids)
        await self._check_again(runs)
        return stored

    async def _check(self, runs: Collection[tuple[str, str]]) -> None:
        for run_id, _ in await self._run_lock.missing_runs(runs):
            raise no_run(run_id)

    async def _check_again(self, runs: Collection[tuple[str, str]]) -> None:
        missing = await self._run_lock.missing_runs(runs)
        for run_id, owner_id in missing:
            await self._stopping.stop_run(run_id, owner_id)
        for run_id, _ in missing:
            raise no_run(run_id)
