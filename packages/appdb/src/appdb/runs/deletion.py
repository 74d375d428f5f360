"""Run deletion: a sequence of repeatable steps that any host can finish (decision 0013).

It is gone through again a day later, for what hosts wrote behind it (decision 0016).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from appdb._driver import AFTER, RawDocument, Session
from appdb._queries import workflow_runs as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.content.deletion import ContentDeletion
from appdb.content.run_files import RunFiles
from appdb.content.stored_bytes import ByteStore
from appdb.errors import AppDbError, DatabaseUnavailableError, NotFoundError
from appdb.models.bounds import at_most
from appdb.models.task_filters import TaskFilter
from appdb.models.tasks import LIVE_STATES
from appdb.queue.task_queue import TaskQueue
from appdb.run_lock import RUN
from appdb.runs.batches import delete_all
from appdb.runs.succession import RunSuccession
from appdb.runs.writer_line import WriterLine, lock_or_busy

logger = logging.getLogger(__name__)

CANCEL_BATCH = 1_000
LINGER = timedelta(days=1)
"""The mark of a deleted run stays this long: a write that began before the deletion has ended by then."""


class RunPart(Protocol):
    """Documents that belong to runs; those of one run are deleted with all that belongs to them."""

    async def delete_of_run(self, run_id: str, owner_id: str) -> int:
        """Delete the documents of the owner's run, and return how many; safe to repeat."""
        ...


class _Rows:
    """Documents on which nothing else depends."""

    def __init__(self, connection: Connection, collection: str) -> None:
        self._rows = connection.collection(collection)

    async def delete_of_run(self, run_id: str, owner_id: str) -> int:
        return await delete_all(self._rows, {"run_id": run_id, "owner_id": owner_id})


def _rows(collection: str) -> Callable[[Connection], RunPart]:
    return lambda connection: _Rows(connection, collection)


PARTS: tuple[Callable[[Connection], RunPart], ...] = (
    _rows(collections.SNAPSHOTS),
    _rows(collections.RUN_VERSIONS),
    _rows(collections.ANSWER_LINKS),
    _rows(collections.ANSWER_DRAFTS),
    _rows(collections.EVENTS),
    _rows(collections.BRANCHES),
    _rows(collections.BUDGETS),
    lambda connection: ContentDeletion(connection, ByteStore(connection)),
    RunFiles,
)
"""The keepers of all documents of a run but its tasks and child runs. Usage outlives the run (decision 0016)."""


class RunDeletion:
    """Deletes runs with their tasks, child runs, events, content and files."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._runs = connection.collection(collections.WORKFLOW_RUNS)
        self._queue = TaskQueue(connection)
        self._succession = RunSuccession(connection)
        self._writer_line = WriterLine(connection)
        self._parts = [part(connection) for part in PARTS]

    async def delete_whole(self, run_id: str, owner_id: str) -> None:
        """Mark a run as deleted, then delete all that belongs to it."""
        # The mark decides everything at once: nobody sees the run any more, and the run lock refuses every write. One
        # transaction for all would be too large, and GridFS takes part in none (decision 0013).
        await self._writer_line.in_line(run_id, partial(self._mark, run_id, owner_id))
        await self._finish(run_id, owner_id)

    async def _mark(self, run_id: str, owner_id: str, session: Session) -> None:
        match, update = queries.deletable(run_id, owner_id), queries.begin_deletion()
        marked = await lock_or_busy(
            self._runs.find_one_and_update(match, update, return_document=AFTER, session=session)
        )
        if marked is None:
            raise NotFoundError(RUN, run_id)
        project = marked.get("project")
        if marked.get("parent_id") is None and isinstance(project, str):
            # Other runs of the project may have waited for its end.
            await self._succession.begin_next(owner_id, project, session)

    async def finish_cut_off(self, older_than: timedelta, limit: int) -> int:
        """Finish interrupted deletions, repeat those older than *older_than*, and return how many there were."""
        before = await self._connection.server_time() - older_than
        found = self._runs.find(queries.deleting(before), {"owner_id": 1}).sort(queries.LONGEST_DELETED)
        rows = [row async for row in found.limit(at_most(limit))]
        return sum([await self._finish_and_forget(row, before) for row in rows])

    async def _finish_and_forget(self, row: RawDocument, before: datetime) -> bool:
        try:
            await self._finish(row["_id"], row["owner_id"])
        except DatabaseUnavailableError:
            raise
        except AppDbError:
            # One run that cannot be deleted must not hold up the others; the next sweep tries it again.
            logger.exception("the deletion of a workflow run could not be finished", extra={"run_id": row["_id"]})
            return False
        await self._runs.delete_one({"_id": row["_id"]} | queries.deleting(before))
        return True

    async def _finish(self, run_id: str, owner_id: str) -> None:
        # Tasks first: a cancelled task writes nothing more, so what is deleted after it stays deleted.
        await self._stop_tasks(TaskFilter(owner_id=owner_id, run_id=run_id, states=LIVE_STATES))
        for child in [row async for row in self._runs.find(queries.children(run_id), {"owner_id": 1})]:
            await self._runs.update_one({"_id": child["_id"]}, queries.begin_deletion())
            await self._finish(child["_id"], child["owner_id"])
        for part in self._parts:
            await part.delete_of_run(run_id, owner_id)
        # The mark stays for a day: by it the sweep finds what a host of an older release, or one that died between
        # its write and its second look, has left behind.
        await self._runs.update_one(queries.deletable(run_id, owner_id) | {"deleting": True}, queries.leave_mark())

    async def _stop_tasks(self, live: TaskFilter) -> None:
        # Until none is found, too: the end of a task may have enqueued what follows it.
        while (await self._queue.cancel_many(live, limit=CANCEL_BATCH)).count or await self._queue.find(live, limit=1):
            continue
