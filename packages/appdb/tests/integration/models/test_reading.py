"""Documents come back as they were written, on whichever way they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import DatetimeMS

from appdb import Database
from appdb._driver import AFTER, RawDocument, Session, watch

REFERENCE = {"$ref": "#/$defs/A", "$id": {"$ref": "b", "$id": 2**40}, "$db": "c", "more": [{"$ref": "d", "$id": None}]}
WRITTEN = {"_id": "n", **REFERENCE, "number": 2**40, "inner": [REFERENCE], "never": DatetimeMS(2**60)}
LAST_TIME = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
READ = {**WRITTEN, "never": LAST_TIME}
Way = Callable[[Database], Awaitable[RawDocument | None]]


async def _aggregated(database: Database) -> RawDocument | None:
    rows: list[RawDocument] = [row async for row in database.collection("notes").aggregate([{"$match": {"_id": "n"}}])]
    return rows[0]


async def _paged(database: Database) -> RawDocument | None:
    await database.collection("notes").insert_many([{"_id": f"m{number}"} for number in range(3)])
    rows: list[RawDocument] = [row async for row in database.collection("notes").find().sort("_id", 1).batch_size(2)]
    return rows[-1]


async def _updated(database: Database) -> RawDocument | None:
    notes = database.collection("notes")
    found: RawDocument | None = await notes.find_one_and_update(
        {"_id": "n"}, {"$unset": {"x": ""}}, return_document=AFTER
    )
    return found


async def _in_a_transaction(database: Database) -> RawDocument | None:
    async def body(session: Session) -> RawDocument | None:
        return await database.collection("notes").find_one({"_id": "n"}, session=session)

    return await database.transaction(body)


async def _followed(database: Database) -> RawDocument | None:
    async with watch(database.raw, [], max_await=timedelta(seconds=1)) as stream:
        await database.collection("notes").insert_one({**WRITTEN, "_id": "again"})
        while (change := await stream.try_next()) is None:
            await asyncio.sleep(0)
    found: RawDocument = change["fullDocument"]
    return {**found, "_id": "n"}


WAYS: dict[str, Way] = {
    "find_one": lambda database: database.collection("notes").find_one({"_id": "n"}),
    "find": _paged,
    "aggregate": _aggregated,
    "find_one_and_update": _updated,
    "transaction": _in_a_transaction,
    "watch": _followed,
}


def types_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: types_of(part) for name, part in value.items()} | {"": type(value)}
    if isinstance(value, list):
        return [types_of(part) for part in value]
    return type(value)


@pytest.mark.parametrize("way", WAYS)
async def test_documents_round_trip_with_latest_times(way: str, database: Database) -> None:
    await database.collection("notes").insert_one(WRITTEN)
    found = await WAYS[way](database)

    assert found == READ
    assert types_of(found) == types_of(READ)
