"""Deleting a run with everything that hangs on it: a sequence that can be cut off anywhere and taken up again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from appdb._driver import AFTER
from appdb._queries import runs as queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.database import Database
from appdb.errors import NotFoundError
from appdb.models.bounds import at_most
from appdb.models.task import TaskFilter
from appdb.queue.task_queue import TaskQueue
from appdb.repos.content import ContentRepository
from appdb.repos.file import FileRepository
from appdb.repos.token import TokenRepository
from appdb.runs.deleting import delete_all
from appdb.runs.fence import RUN

CANCEL_BATCH = 1_000


class RunPart(Protocol):
    """Something that keeps documents of runs, and can delete those of one run with all that belongs to them."""

    async def delete_run(self, run_id: str, *, owner_id: str) -> int:
        """Delete what belongs to the owner's run, and return how much; safe to repeat."""
        ...


class _Rows:
    """Documents that hold nothing but themselves."""

    def __init__(self, database: Database, collection: str) -> None:
        self._rows = database.collection(collection)

    async def delete_run(self, run_id: str, *, owner_id: str) -> int:
        return await delete_all(self._rows, {"run_id": run_id, "owner_id": owner_id})


def _rows(collection: str) -> Callable[[Database], RunPart]:
    return lambda database: _Rows(database, collection)


PARTS: tuple[Callable[[Database], RunPart], ...] = (
    _rows(collections.SNAPSHOTS),
    _rows(collections.RUN_VERSIONS),
    _rows(collections.EVENTS),
    _rows(collections.BRANCHES),
    ContentRepository,
    FileRepository,
    TokenRepository,
)
"""All that hangs on a run, but for its tasks and its child runs."""


class Removal(BaseRepository):
    """Deletes runs."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._runs = self._collection(collections.WORKFLOW_RUNS)
        self._queue = TaskQueue(database)
        self._parts = [part(database) for part in PARTS]

    async def delete(self, run_id: str, owner_id: str) -> None:
        """Mark the run first, so that nothing is written to it any more; then delete from the outside in."""
        marked = await self._runs.find_one_and_update(
            {"_id": run_id, "owner_id": owner_id}, queries.doomed(), return_document=AFTER
        )
        if marked is None:
            raise NotFoundError(RUN, run_id)
        await self._finish(run_id, owner_id)

    async def sweep(self, limit: int) -> int:
        """Finish deletions that were cut off, and return how many."""
        found = self._runs.find(queries.deleting(), {"owner_id": 1}).sort([("_id", 1)]).limit(at_most(limit))
        rows = [row async for row in found]
        for row in rows:
            await self._finish(row["_id"], row["owner_id"])
        return len(rows)

    async def _finish(self, run_id: str, owner_id: str) -> None:
        # Tasks first: a cancelled one writes nothing more, so that what is deleted stays deleted.
        wanted = TaskFilter(owner_id=owner_id, run_id=run_id)
        while await self._queue.cancel_many(wanted, limit=CANCEL_BATCH):
            continue
        for child in [row async for row in self._runs.find(queries.children(run_id), {"owner_id": 1})]:
            await self._runs.update_one({"_id": child["_id"]}, queries.doomed())
            await self._finish(child["_id"], child["owner_id"])
        for part in self._parts:
            await part.delete_run(run_id, owner_id=owner_id)
        await self._runs.delete_one({"_id": run_id, "deleting": True})
