"""The same work with bare driver calls: what no queue can be faster than without saving round trips.

A floor's collection stands beside ``tasks``, with the same indexes, and takes the same documents with the same
durability. It keeps no log of events, no leases that anybody renews, and no promises.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from appbench.stage import IN_FLIGHT, NOOP, Stage
from appdb import Database
from appdb._driver import AFTER, IndexModel, RawDocument, UpdateOne
from appdb._queries.task_claims import CLAIM_ORDER
from appdb._schema.collections import TASKS
from appdb._schema.indexes import INDEXES
from appdb.models.tasks import TaskState
from appdb.queue.enqueue import fields_of, id_of, times_of

FLOOR = "floor"
BULK = 100
FILLED_AT_ONCE = 1_000
COMPLETE: dict[str, Any] = {
    "$set": {"state": TaskState.COMPLETED, "lease": None},
    "$currentDate": {"finished_at": True, "updated_at": True},
}


def documents(count: int) -> list[RawDocument]:
    """Return *count* documents as an enqueue stores them."""
    now = datetime.now(UTC)
    return [fields_of(NOOP, id_of(NOOP)) | times_of(NOOP).from_time(now) for _ in range(count)]


async def rate(count: int, call: Callable[[], Awaitable[object]], *, in_flight: int = IN_FLIGHT) -> float:
    """Return calls per second, *in_flight* at a time."""
    left = iter(range(count))

    async def lane() -> None:
        for _ in left:
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(in_flight)))
    return count / (time.perf_counter() - began)


@asynccontextmanager
async def bare_collection(stage: Stage, database: Database) -> AsyncIterator[Floors]:
    """Yield a bare collection in the database of what is measured, by a client of its own.

    Its operations may take any time: where all fight for the head of an index, one of them can starve.
    """
    unlimited = Database(stage.uri, database.name, operation_timeout=None)
    try:
        floors = Floors(unlimited)
        await floors.tasks.create_indexes(task_indexes())
        yield floors
    finally:
        await unlimited.close()


def task_indexes() -> list[IndexModel]:
    """Return the indexes of ``tasks``, to be created."""
    ours = [index for index in INDEXES if index.collection == TASKS]
    return [IndexModel(list(index.keys), name=index.name, **index.options) for index in ours]


class Floors:
    """A bare collection beside ``tasks``."""

    def __init__(self, database: Database) -> None:
        self.tasks = database.collection(FLOOR)
        self._due = {"state": TaskState.QUEUED, "lane": documents(1)[0]["lane"]}

    async def fill(self, count: int) -> None:
        """Insert *count* documents."""
        for _ in range(0, count, FILLED_AT_ONCE):
            await self.tasks.insert_many(documents(min(count, FILLED_AT_ONCE)), ordered=False)

    async def drain_one_by_one(self, count: int) -> float:
        """Return documents per second: findOneAndUpdate to claim, update to complete, 32 of these in flight."""
        await self.fill(count)

        async def lane() -> None:
            while (taken := await self.claim()) is not None:
                await self.tasks.update_one({"_id": taken["_id"]}, COMPLETE)

        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))
        return count / (time.perf_counter() - began)

    async def drain_in_bulk(self, count: int) -> float:
        """Return documents per second: claim a hundred in three calls, complete them with one bulk write."""
        await self.fill(count)
        began = time.perf_counter()
        candidates = self.tasks.find(self._due, {"_id": 1}).sort(CLAIM_ORDER).limit(BULK)
        while ids := [row["_id"] async for row in candidates.clone()]:
            await self.tasks.update_many({"_id": {"$in": ids}, "state": TaskState.QUEUED}, _take())
            taken = [row async for row in self.tasks.find({"_id": {"$in": ids}})]
            await self.tasks.bulk_write([UpdateOne({"_id": row["_id"]}, COMPLETE) for row in taken], ordered=False)
        return count / (time.perf_counter() - began)

    async def claim(self) -> RawDocument | None:
        """Take the first due document."""
        found: RawDocument | None = await self.tasks.find_one_and_update(
            self._due, _take(), sort=CLAIM_ORDER, return_document=AFTER
        )
        return found


def _take() -> dict[str, Any]:
    now = datetime.now(UTC)
    lease = {"token": "bench", "worker_id": "bench", "expires_at": now}
    held = {"state": TaskState.PROCESSING, "lease": lease, "started_at": now, "updated_at": now}
    return {"$set": held, "$inc": {"attempt": 1}}
