"""Run cancel: the run ends in one transaction, and what works for it is stopped in bounded ones that follow."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from pydantic import JsonValue

from appdb._driver import Session
from appdb._queries import run_lists as list_queries
from appdb._queries import workflow_runs as queries
from appdb._queries.paging import BY_ID
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import AppDbError, ConflictError, DatabaseUnavailableError, NotFoundError, UnreadableError
from appdb.events import DbEventType
from appdb.models.bounds import at_most
from appdb.models.events import NewRunEvent
from appdb.models.task_filters import TaskFilter
from appdb.models.tasks import LIVE_STATES
from appdb.models.workflow_runs import Run, RunStatus
from appdb.queue.task_queue import TaskQueue
from appdb.run_lock import RUN, RunLock
from appdb.runs.appends import checked_append
from appdb.runs.event_log import EventLog
from appdb.runs.writer_line import WriterLine, lock_or_busy
from appdb.utils import derived_id

logger = logging.getLogger(__name__)

STOPPED_AT_ONCE = 100
"""Tasks that are cancelled with the run, in its transaction."""
BATCH = 1_000
CUT_OFF_AFTER = timedelta(seconds=30)
"""The age from which a cancel that is not finished is taken for cut off."""


class RunCanceller:
    """Cancels runs with their live tasks and child runs, for ``WorkflowRepository``.

    The event decides everything at once: the run is final for who looks, and its log refuses what its tasks would still
    append. To stop those tasks only saves their work, so that may take many transactions, and any host can finish it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._runs = connection.collection(collections.WORKFLOW_RUNS)
        self._queue = TaskQueue(connection)
        self._run_lock = RunLock(connection)
        self._event_log = EventLog(connection)
        self._writer_line = WriterLine(connection)

    async def cancel_run(
        self, run: tuple[str, str], event_id: str, data: Mapping[str, JsonValue], session: Session | None
    ) -> Run:
        """Cancel a run and return it; *run* is its id and owner. In a caller's transaction, its first tasks alone."""
        # A write conflict in a caller's transaction is left to the caller, who began it and repeats it as a whole.
        if session is not None:
            return await self._end(await self._run_lock.lock(*run, session), event_id, data, session)

        async def body(session: Session) -> Run:
            locked = await lock_or_busy(self._run_lock.lock(*run, session))
            return await self._end(locked, event_id, data, session)

        ended = await self._writer_line.in_line(run[0], body)
        await self._stop_rest(run)
        return ended

    async def _end(self, run: Run, event_id: str, data: Mapping[str, JsonValue], session: Session) -> Run:
        if run.status is RunStatus.CANCELLED:
            return run
        if run.status is RunStatus.COMPLETED:
            problem = "it is completed, so it cannot be cancelled; delete it, or go back in it"
            raise ConflictError(RUN, run.id, problem)
        event = NewRunEvent(type=DbEventType.WORKFLOW_CANCELLED, data=data, event_id=event_id)
        append = checked_append(run.id, run.owner_id, run.branch_id, [event])
        await self._event_log.append_events(append, session)
        await self._queue.cancel_many(_live(run.id, run.owner_id), limit=STOPPED_AT_ONCE, session=session)
        return await self._run_lock.find_run(run.id, run.owner_id, session)

    async def _stop_rest(self, run: tuple[str, str]) -> None:
        # Until none is found, too: a task that ended meanwhile may have enqueued what follows it.
        live = _live(*run)
        while (await self._queue.cancel_many(live, limit=BATCH)).count or await self._queue.find(live, limit=1):
            continue
        children = self._runs.find(list_queries.stoppable_children(run[0]), {"owner_id": 1}).sort(BY_ID)
        async for child in children:
            await self._stop_child(run[0], (child["_id"], child["owner_id"]))
        await self._runs.update_one(queries.cancelled(run[0]), queries.all_stopped())

    async def _stop_child(self, parent_id: str, child: tuple[str, str]) -> None:
        # Derived, so that a repeated call appends nothing twice.
        event_id = derived_id("evt_", parent_id, "cancels", child[0])
        try:
            await self.cancel_run(child, event_id, {"parent_id": parent_id}, None)
        except (ConflictError, NotFoundError):
            # It ended, or was deleted, between the look and the cancel.
            return
        except UnreadableError:
            logger.exception("a child run cannot be read and was not cancelled", extra={"run_id": child[0]})

    async def finish_cut_off(self, older_than: timedelta, limit: int) -> int:
        """Stop what still works for runs whose cancel was cut off *older_than* ago, and return how many runs."""
        found = self._runs.find(queries.cancelling(older_than), {"owner_id": 1}).limit(at_most(limit))
        rows = [row async for row in found]
        return sum([await self._try_to_stop(row["_id"], row["owner_id"]) for row in rows])

    async def _try_to_stop(self, run_id: str, owner_id: str) -> bool:
        try:
            await self._stop_rest((run_id, owner_id))
        except DatabaseUnavailableError:
            raise
        except AppDbError:
            # One run that cannot be stopped must not hold up the others; the next look tries it again.
            logger.exception("the cancel of a workflow run could not be finished", extra={"run_id": run_id})
            return False
        return True


def _live(run_id: str, owner_id: str) -> TaskFilter:
    return TaskFilter(owner_id=owner_id, run_id=run_id, states=LIVE_STATES)
