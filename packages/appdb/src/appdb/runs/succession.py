"""Succession: runs that wait in their project, and begin in the transaction in which the run before them ends."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from appdb._driver import Session
from appdb._queries import workflow_runs as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import AppDbError, ConflictError, DatabaseUnavailableError
from appdb.events import DbEventType
from appdb.models.bounds import at_most
from appdb.models.events import NewRunEvent
from appdb.models.tasks import NewTask
from appdb.models.workflow_runs import Run, RunDocument
from appdb.queue.task_document import continuation_of, continuation_upsert
from appdb.reading import page_of
from appdb.run_lock import RunLock, no_run
from appdb.runs.appends import checked_append
from appdb.runs.event_rows import insert_events
from appdb.utils import derived_id

logger = logging.getLogger(__name__)

WAITING_IN = "runs waiting in project"
MOST_WAITING = 100
"""Runs that may wait in one project: each is a document that its owner's lists show."""
STRANDED_AFTER = timedelta(seconds=30)


class RunSuccession:
    """Lets runs wait in their project, and begin one after the other.

    While a run waits, its project has an open run: to wait is to write to that one in the same transaction, and so is
    to end it, so none of both misses the other; and whoever ends it opens the next in that transaction
    (decision 0027).
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._run_lock = RunLock(connection)
        self._runs = connection.collection(collections.WORKFLOW_RUNS)
        self._events = connection.collection(collections.EVENTS)
        self._tasks = connection.collection(collections.TASKS)

    async def wait_behind(self, run: Run, run_id: str, task: NewTask, session: Session) -> dict[str, Any]:
        """Return the fields of a new run that waits behind the open *run*; *task* is enqueued when it begins.

        Raises:
            ConflictError: Too many wait in the project.
        """
        await self._run_lock.lock(run.id, run.owner_id, session)
        match = queries.waiting_in(run.owner_id, run.project)
        found = self._runs.find(match, {"waiting_number": 1}, session=session).sort(queries.LAST_WAITING)
        waiting = await found.to_list(MOST_WAITING)
        if len(waiting) == MOST_WAITING:
            problem = f"{MOST_WAITING} wait already; start more once some have begun, or cancel some"
            raise ConflictError(WAITING_IN, run.project, problem)
        last = waiting[0]["waiting_number"] if waiting else run.waiting_number
        return {"waiting_number": 1 + (last or 0), "on_begin": continuation_of(replace(task, run_id=run_id))}

    async def begin_next(self, owner_id: str, project: str, session: Session) -> bool:
        """Let the run begin that waits first in a project, unless one is open there; return whether it did.

        One round trip where nobody waits.
        """
        waiting = self._runs.find(queries.waiting_in(owner_id, project), session=session).sort(queries.FIRST_WAITING)
        first = await page_of(RunDocument.from_document, waiting, 1)
        if not first:
            return False
        open_run = queries.open_of(owner_id, project)
        if await self._runs.find_one(open_run, {"_id": 1}, session=session) is not None:
            return False
        await self._begin(first[0], session)
        return True

    async def begin_stranded(self, older_than: timedelta, limit: int) -> int:
        """Let runs begin that wait where no run is open, as hosts of 0.3.0 leave them; return how many projects had
        some."""
        pipeline = queries.stranded(older_than, at_most(limit))
        found = [row["_id"] for row in await self._runs.aggregate(pipeline).to_list(None)]
        return sum([await self._try_to_begin(one["owner_id"], one["project"]) for one in found])

    async def _try_to_begin(self, owner_id: str, project: str) -> bool:
        try:
            return await self._connection.transaction(partial(self.begin_next, owner_id, project))
        except DatabaseUnavailableError:
            raise
        except AppDbError:
            # One project must not hold up the others; the next look tries it again.
            logger.exception("no waiting run of a project could begin", extra={"owner_id": owner_id})
            return False

    async def _begin(self, run: RunDocument, session: Session) -> None:
        event = NewRunEvent(type=DbEventType.WORKFLOW_RESUMED, event_id=derived_id("evt_", run.id, "begins"))
        append = checked_append(run.id, run.owner_id, run.branch_id, [event])
        match = queries.owned(run.id, run.owner_id)
        begun = await self._run_lock.change_run(match, queries.advance(1, append.changes), session)
        if begun is None:
            raise no_run(run.id)
        events = list(zip(append.events, append.subjects, strict=True))
        await insert_events(self._events, begun, begun.branch_id, begun.event_count - 1, events, session)
        if run.on_begin is not None:
            await self._tasks.update_one(*continuation_upsert(run.on_begin), upsert=True, session=session)
