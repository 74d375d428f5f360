"""The same work with bare driver calls: what no queue can be faster than without saving round trips."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from appdb import Database
from appdb._driver import AFTER, RawDocument, watch
from appdb.feed import MAX_AWAIT
from appdb.utils import uuid7_str

BULK = 100
CLAIM: RawDocument = {"$set": {"state": "processing"}}
COMPLETE: RawDocument = {"$set": {"state": "completed"}}


class Floors:
    """Bare collections beside the measured ones, in the same database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tasks = database.collection("floor")

    async def insert(self) -> None:
        """Insert one document of a task's size."""
        await self._tasks.insert_one(_document())

    async def drain_one_by_one(self, count: int, in_flight: int) -> float:
        """Return documents per second: findOneAndUpdate to claim, update to complete, each for one document."""
        await self._fill(count)

        async def lane() -> None:
            while (taken := await self._claim()) is not None:
                await self._tasks.update_one({"_id": taken["_id"]}, COMPLETE)

        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(in_flight)))
        return count / (time.perf_counter() - began)

    async def drain_in_bulk(self, count: int) -> float:
        """Return documents per second: claim a hundred at a time, complete them with one write."""
        await self._fill(count)
        began = time.perf_counter()
        while ids := [row["_id"] async for row in self._tasks.find({"state": "queued"}, {"_id": 1}).limit(BULK)]:
            await self._tasks.update_many({"_id": {"$in": ids}, "state": "queued"}, CLAIM)
            _ = [row async for row in self._tasks.find({"_id": {"$in": ids}})]
            await self._tasks.update_many({"_id": {"$in": ids}}, COMPLETE)
        return count / (time.perf_counter() - began)

    async def wake_and_claim(self, count: int) -> list[float]:
        """Return the milliseconds from an insert to the claim by a waiter on a change stream."""
        await self._fill(0)
        match: dict[str, Any] = {"$match": {"ns.coll": "floor", "operationType": "insert"}}
        waits = []
        async with watch(self._database.raw, [match], max_await=MAX_AWAIT) as stream:
            await stream.try_next()
            for _ in range(count):
                began = time.perf_counter()
                await self.insert()
                await stream.next()
                await self._claim()
                waits.append((time.perf_counter() - began) * 1_000)
        return waits

    async def _claim(self) -> RawDocument | None:
        found: RawDocument | None = await self._tasks.find_one_and_update(
            {"state": "queued"}, CLAIM, sort=[("_id", 1)], return_document=AFTER
        )
        return found

    async def _fill(self, count: int) -> None:
        await self._tasks.drop()
        await self._tasks.create_index([("state", 1), ("_id", 1)])
        if count:
            await self._tasks.insert_many([_document() for _ in range(count)])


def _document() -> RawDocument:
    return {
        "_id": uuid7_str(),
        "state": "queued",
        "owner_id": "bench",
        "actor": "bench.noop",
        "payload": {},
        "errors": [],
    }
