"""Completion of queued tasks: what nobody has claimed ends as completed, since its work is done otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from appdb._driver import Session
from appdb._queries import tasks as queries
from appdb._queries.filters import by_ids
from appdb._queries.paging import BY_ID
from appdb._queries.task_commits import WRITTEN_FIELDS
from appdb._schema import collections
from appdb.connection import Connection
from appdb.events import TaskEventType
from appdb.models.task_events import NewEvent
from appdb.models.task_filters import TaskFilter
from appdb.models.tasks import TaskState
from appdb.queue.finalize import TaskFinalizer
from appdb.queue.log_events import stored_events
from appdb.size_limits import MAX_RESULT_BYTES, check_size

QUEUED = frozenset({TaskState.QUEUED})
COMPLETED = NewEvent(type=TaskEventType.COMPLETED, data={"attempt": 0})


class QueuedCompletion:
    """Completes tasks that nobody has claimed, together with what depends on them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = connection.collection(collections.TASKS)
        self._finalizer = TaskFinalizer(connection)

    async def complete(
        self, wanted: TaskFilter, result: Mapping[str, Any] | None, limit: int, session: Session | None
    ) -> int:
        """Complete queued tasks, oldest first, in one transaction, and return how many."""
        if result is not None:
            check_size("result", result, MAX_RESULT_BYTES)
        return await self._connection.joined(partial(self._complete, wanted, result, limit), session)

    async def _complete(
        self, wanted: TaskFilter, result: Mapping[str, Any] | None, limit: int, session: Session
    ) -> int:
        match = queries.matching(wanted, QUEUED & wanted.states if wanted.states else QUEUED)
        found = self._tasks.find(match, queries.CANCELLABLE, session=session).sort(BY_ID).limit(limit).batch_size(limit)
        tasks = [row async for row in found]
        if not tasks:
            return 0
        settled = queries.settle(TaskState.COMPLETED, result, None)
        # One that is claimed at this moment makes the transaction begin again, and then it is queued no more.
        await self._tasks.update_many(
            by_ids([task["_id"] for task in tasks]),
            queries.logged(stored_events([COMPLETED]), None, settled),
            session=session,
        )
        if concerned := [task["_id"] for task in tasks if task.get("attached")]:
            ended = self._tasks.find(by_ids(concerned), WRITTEN_FIELDS, session=session)
            await self._finalizer.finalize([row async for row in ended], session)
        return len(tasks)
