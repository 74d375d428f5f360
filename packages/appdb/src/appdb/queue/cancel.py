"""Cancelling: a task ends for good, together with all that lives below it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from appdb._driver import PyMongoError, RawDocument, Session, within
from appdb._queries import tasks as queries
from appdb._queries.filters import by_ids
from appdb._queries.task_commits import WRITTEN_FIELDS
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import DatabaseUnavailableError
from appdb.events import TaskEventType
from appdb.models.task_events import NewEvent
from appdb.models.task_filters import TaskFilter
from appdb.models.tasks import LIVE_STATES, TaskState
from appdb.orphaned_transactions import CONTENTION_WAIT, ORPHANED_AFTER
from appdb.queue.finalize import TaskFinalizer
from appdb.queue.log_events import stored_events

_CANCELLED = NewEvent(type=TaskEventType.CANCELLED)
_CANCEL = queries.settle(TaskState.CANCELLED, None, None)


class TaskCanceller:
    """
    Cancels tasks, by themselves or in a caller's transaction.

    The holder of a task writes to it with everything that it stores, so one of the two comes first: what was stored
    before a cancel is there, to be deleted with the task's content perhaps, and nothing is stored after it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._finalizer = TaskFinalizer(connection)

    async def cancel_tree(self, task_id: str, owner_id: str, session: Session | None) -> None:
        """Cancel the owner's task and all that lives below it; what is final stays as it is."""
        await self.cancel_alone(task_id, owner_id, session)
        await self.cancel_below(task_id, owner_id, session)

    async def cancel_alone(self, task_id: str, owner_id: str, session: Session | None) -> RawDocument | None:
        """Cancel the owner's task and return it, or ``None`` when it is final already, or not there."""
        if session is not None:
            return await self._end(task_id, owner_id, session)
        try:
            with within(CONTENTION_WAIT):
                return await self._end(task_id, owner_id, None)
        except (PyMongoError, DatabaseUnavailableError):
            # A host that died inside a transaction keeps the task locked, and its owner must not wait for the server.
            if not await self._connection.orphans.end(ORPHANED_AFTER):
                raise
        return await self._end(task_id, owner_id, None)

    # The state is final when the caller sees it, also while the worker is dead or cut off; the fence refuses what the
    # worker still writes (decision 0002).
    async def _end(self, task_id: str, owner_id: str, session: Session | None) -> RawDocument | None:
        return await self._finalizer.end_task(queries.live(task_id, owner_id), [_CANCELLED], _CANCEL, session)

    async def cancel_together(self, tasks: Sequence[RawDocument], session: Session) -> None:
        """Cancel *tasks*, which are live in the caller's transaction, and all that lives below them.

        One round trip, however many they are; one more for each generation of children below those that ever ran; and
        where something hangs on their ends, one more and those of ``TaskFinalizer.finalize``.

        Args:
            tasks: What ``CANCELLABLE`` names of each.
            session: The caller's transaction.
        """
        if not tasks:
            return
        live = [*tasks, *await self._live_below(tasks, session)]
        match = queries.live_among([task["_id"] for task in live])
        await self._tasks.update_many(
            match, queries.logged(stored_events([_CANCELLED]), None, _CANCEL), session=session
        )
        if concerned := [task["_id"] for task in live if task.get("attached")]:
            found = self._tasks.find(by_ids(concerned), WRITTEN_FIELDS, session=session)
            await self._finalizer.finalize([row async for row in found], session)

    async def _live_below(self, tasks: Sequence[RawDocument], session: Session) -> list[RawDocument]:
        met, live = {str(task["_id"]) for task in tasks}, []
        # What no worker has claimed yet has spawned nothing.
        above = [task for task in tasks if task.get("started_at") is not None]
        while above:
            owners = sorted({task["owner_id"] for task in above})
            ids = {owner: [task["_id"] for task in above if task["owner_id"] == owner] for owner in owners}
            below = [child for owner in owners for child in await self._children(ids[owner], owner, session)]
            above = [child for child in below if str(child["_id"]) not in met]
            met.update(str(child["_id"]) for child in above)
            live += [child for child in above if str(child.get("state")) in LIVE_STATES]
        return live

    async def cancel_below(self, task_id: str, owner_id: str, session: Session | None) -> None:
        """Cancel all that lives below the owner's task, also below what has ended there."""
        # Whoever cancelled what has ended may have been killed before it came to the children.
        below, met = await self._children([task_id], owner_id, session), {task_id}
        while below:
            for child in below:
                if str(child.get("state")) in LIVE_STATES:
                    await self.cancel_alone(child["_id"], owner_id, session)
            ids = [child["_id"] for child in below]
            met.update(map(str, ids))
            # What other software wrote may be below itself.
            below = [child for child in await self._children(ids, owner_id, session) if str(child["_id"]) not in met]

    async def _children(self, task_ids: Sequence[str], owner_id: str, session: Session | None) -> list[RawDocument]:
        found = self._tasks.find(queries.below(task_ids, owner_id), queries.CANCELLABLE, session=session)
        return [row async for row in found]

    async def cancel_run(self, run_id: str, owner_id: str) -> None:
        """Cancel all live tasks of the owner's run, each with what is below it in a transaction of its own."""
        match = queries.matching(TaskFilter(owner_id=owner_id, run_id=run_id), LIVE_STATES)
        # Until none is left: what follows the end of those that were cancelled works for the run, too.
        while task_ids := [row["_id"] async for row in self._tasks.find(match, {"_id": 1})]:
            for task_id in task_ids:
                await self._connection.transaction(partial(self.cancel_tree, task_id, owner_id))
