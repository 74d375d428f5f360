"""Deleting a run with all that hangs on it: a sequence that can be cut off anywhere, and is gone through twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from appdb._driver import AFTER, RawDocument
from appdb._queries import workflow_runs as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.content.deletion import ContentDeletion
from appdb.content.run_files import RunFiles
from appdb.content.stored_bytes import ByteStore
from appdb.errors import AppDbError, DatabaseUnavailableError, NotFoundError
from appdb.models.bounds import at_most
from appdb.models.tasks import LIVE_STATES, TaskFilter
from appdb.queue.task_queue import TaskQueue
from appdb.run_lock import RUN
from appdb.runs.batches import delete_all

logger = logging.getLogger(__name__)

CANCEL_BATCH = 1_000
LINGER = timedelta(days=1)
"""How long the mark of a deleted run stays: longer than anybody is about to write what he has begun before."""


class RunPart(Protocol):
    """Something that keeps documents of runs, and can delete those of one run with all that belongs to them."""

    async def delete_of_run(self, run_id: str, owner_id: str) -> int:
        """Delete what belongs to the owner's run, and return how much; safe to repeat."""
        ...


class _Rows:
    """Documents that hold nothing but themselves."""

    def __init__(self, connection: Connection, collection: str) -> None:
        self._rows = connection.collection(collection)

    async def delete_of_run(self, run_id: str, owner_id: str) -> int:
        return await delete_all(self._rows, {"run_id": run_id, "owner_id": owner_id})


def _rows(collection: str) -> Callable[[Connection], RunPart]:
    return lambda connection: _Rows(connection, collection)


PARTS: tuple[Callable[[Connection], RunPart], ...] = (
    _rows(collections.SNAPSHOTS),
    _rows(collections.RUN_VERSIONS),
    _rows(collections.EVENTS),
    _rows(collections.BRANCHES),
    lambda connection: ContentDeletion(connection, ByteStore(connection)),
    RunFiles,
)
"""All that hangs on a run, but for its tasks and its child runs. What its calls cost outlives it."""


class RunDeletion:
    """Deletes runs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._runs = connection.collection(collections.WORKFLOW_RUNS)
        self._queue = TaskQueue(connection)
        self._parts = [part(connection) for part in PARTS]

    async def delete_whole(self, run_id: str, owner_id: str) -> None:
        """Mark the run first, so that nothing is written to it any more; then delete from the outside in."""
        marked = await self._runs.find_one_and_update(
            queries.deletable(run_id, owner_id), queries.doomed(), return_document=AFTER
        )
        if marked is None:
            raise NotFoundError(RUN, run_id)
        await self._finish(run_id, owner_id)

    async def finish_cut_off(self, older_than: timedelta, limit: int) -> int:
        """Finish what was cut off, go once more through what was deleted before *older_than*, and return how many."""
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
            # The others must not wait for it; the next sweep tries again.
            logger.exception("the deletion of a workflow run could not be finished", extra={"run_id": row["_id"]})
            return False
        await self._runs.delete_one({"_id": row["_id"]} | queries.deleting(before))
        return True

    async def _finish(self, run_id: str, owner_id: str) -> None:
        # Tasks first: a cancelled one writes nothing more, so that what is deleted stays deleted.
        await self._stop_tasks(TaskFilter(owner_id=owner_id, run_id=run_id, states=LIVE_STATES))
        for child in [row async for row in self._runs.find(queries.children(run_id), {"owner_id": 1})]:
            await self._runs.update_one({"_id": child["_id"]}, queries.doomed())
            await self._finish(child["_id"], child["owner_id"])
        for part in self._parts:
            await part.delete_of_run(run_id, owner_id)
        # The mark stays: what a host of an older release, or one that died at it, writes from now on is found by it.
        await self._runs.update_one(queries.deletable(run_id, owner_id) | {"deleting": True}, queries.marked())

    async def _stop_tasks(self, live: TaskFilter) -> None:
        # Not only until nothing was cancelled: what completes under our eyes may have enqueued what follows it.
        while await self._queue.cancel_many(live, limit=CANCEL_BATCH) or await self._queue.find(live, limit=1):
            continue
