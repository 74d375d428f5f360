"""Stopping a task because what it makes is to be deleted: in one transaction with the deletion."""

from __future__ import annotations

from functools import partial

from appdb._driver import Session
from appdb._queries import tasks as queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.events import TaskEventType
from appdb.models.task_events import NewEvent
from appdb.models.tasks import LIVE_STATES, TaskFilter, TaskState
from appdb.queue.finalize import TaskFinalizer
from appdb.queue.task_log import TaskLog


class Stopping(BaseRepository):
    """
    Cancels in the caller's transaction.

    Whoever holds the task writes to it with everything that it stores, so one of the two comes first: what was stored
    before is there to be deleted, and nothing is stored after.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._tasks = self._collection(collections.TASKS)
        self._log = TaskLog(connection)
        self._finalizer = TaskFinalizer(connection)

    async def stop(self, task_id: str, owner_id: str, session: Session) -> None:
        """Cancel the owner's task and all that lives below it; what is final stays as it is."""
        ids, met = [task_id], {task_id}
        while ids:
            for each in ids:
                await self._stop_one(each, owner_id, session)
            found = self._tasks.find(queries.below(ids, owner_id), {"_id": 1}, session=session)
            # What other software wrote may be below itself.
            ids = [row["_id"] async for row in found if str(row["_id"]) not in met]
            met.update(map(str, ids))

    async def _stop_one(self, task_id: str, owner_id: str, session: Session) -> None:
        cancelled = [NewEvent(type=TaskEventType.CANCELLED)]
        changes = queries.settle(TaskState.CANCELLED, None, None)
        match = queries.live(task_id, owner_id)
        task = await self._log.append(match, cancelled, session=session, changes=changes)
        if task is not None:
            await self._finalizer.close([task], session)

    async def stop_run(self, run_id: str, owner_id: str) -> None:
        """Cancel all live tasks of the owner's run, each in a transaction of its own."""
        match = queries.matching(TaskFilter(owner_id=owner_id, run_id=run_id), LIVE_STATES)
        for task_id in [row["_id"] async for row in self._tasks.find(match, {"_id": 1})]:
            await self._connection.transaction(partial(self.stop, task_id, owner_id))
