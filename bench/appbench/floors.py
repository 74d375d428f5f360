"""Floors: the same work with bare driver calls, which a queue can only beat by saving round trips.

A floor's collection stands beside ``tasks``, with the same indexes, and takes the same documents with the same
durability. It keeps no log of events, no leases that anybody renews, and no promises.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import IndexModel, ReturnDocument, UpdateOne

from appbench.stage import IN_FLIGHT, NOOP, Stage
from appdb import Database, TaskQueue, TaskState, uuid7_str

TASKS, FLOOR = "tasks", "floor"
CLAIM_KEY = "lane"
"""The stored field that holds a task's queue and handler."""
CLAIM_ORDER = [("priority", -1), ("queued_at", 1), ("_id", 1)]
PREFIX = "tq_"
BULK = 100
FILLED_AT_ONCE = 1_000
COMPLETE: dict[str, Any] = {
    "$set": {"state": TaskState.COMPLETED, "lease": None},
    "$currentDate": {"finished_at": True, "updated_at": True},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskForm:
    """The form of a task that an enqueue stores: a document, and the indexes of its collection."""

    document: dict[str, Any]
    indexes: list[IndexModel]

    @classmethod
    async def of(cls, database: Database) -> TaskForm:
        """Take the form of a task that is enqueued in *database*, which no worker works on, and deleted."""
        tasks, task = database.collection(TASKS), await TaskQueue(database).enqueue(NOOP)
        document = await tasks.find_one_and_delete({"_id": task.id})
        known = await tasks.index_information()
        return cls(
            document=dict(document or {}),
            indexes=[index_again(name, dict(known[name])) for name in known if name != "_id_"],
        )

    def documents(self, count: int) -> list[dict[str, Any]]:
        """Return *count* documents of this form, as of now."""
        now = datetime.now(UTC)
        times = {name: now for name, value in self.document.items() if isinstance(value, datetime)}
        return [self.document | times | {"_id": uuid7_str(PREFIX)} for _ in range(count)]


def index_again(name: str, index: dict[str, Any]) -> IndexModel:
    """Return the index that the server knows as *index*, to be created on another collection."""
    keys = index.pop("key")
    return IndexModel(
        keys, name=name, **{option: value for option, value in index.items() if option not in {"v", "ns"}}
    )


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
        floors = Floors(unlimited, await TaskForm.of(database))
        await floors.tasks.create_indexes(floors.form.indexes)
        yield floors
    finally:
        await unlimited.close()


class Floors:
    """A bare collection beside ``tasks``."""

    def __init__(self, database: Database, form: TaskForm) -> None:
        self.form = form
        self.tasks = database.collection(FLOOR)

    async def fill(self, count: int) -> None:
        """Insert *count* documents."""
        for _ in range(0, count, FILLED_AT_ONCE):
            await self.tasks.insert_many(self.form.documents(min(count, FILLED_AT_ONCE)), ordered=False)

    async def drain_one_by_one(self, count: int) -> float:
        """Return documents per second: findOneAndUpdate to claim, update to complete, 32 of these in flight."""
        await self.fill(count)
        claim_key = self.form.document[CLAIM_KEY]

        async def lane() -> None:
            while (taken := await claim(self.tasks, claim_key)) is not None:
                await self.tasks.update_one({"_id": taken["_id"]}, COMPLETE)

        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))
        return count / (time.perf_counter() - began)

    async def drain_in_bulk(self, count: int) -> float:
        """Return documents per second: claim a hundred in three calls, complete them with one bulk write."""
        await self.fill(count)
        due = due_of(self.form.document[CLAIM_KEY])
        began = time.perf_counter()
        candidates = self.tasks.find(due, {"_id": 1}).sort(CLAIM_ORDER).limit(BULK)
        while ids := [row["_id"] async for row in candidates.clone()]:
            await self.tasks.update_many({"_id": {"$in": ids}, "state": TaskState.QUEUED}, _take())
            taken = [row async for row in self.tasks.find({"_id": {"$in": ids}})]
            await self.tasks.bulk_write([UpdateOne({"_id": row["_id"]}, COMPLETE) for row in taken], ordered=False)
        return count / (time.perf_counter() - began)


def due_of(claim_key: str) -> dict[str, Any]:
    """Return the filter of tasks that may be claimed."""
    return {"state": TaskState.QUEUED, CLAIM_KEY: claim_key}


async def claim(tasks: Any, claim_key: str) -> dict[str, Any] | None:
    """Take the first due document of a collection."""
    found: dict[str, Any] | None = await tasks.find_one_and_update(
        due_of(claim_key), _take(), sort=CLAIM_ORDER, return_document=ReturnDocument.AFTER
    )
    return found


def _take() -> dict[str, Any]:
    now = datetime.now(UTC)
    lease = {"token": "bench", "worker_id": "bench", "expires_at": now}
    held = {"state": TaskState.PROCESSING, "lease": lease, "started_at": now, "updated_at": now}
    return {"$set": held, "$inc": {"attempt": 1}}
