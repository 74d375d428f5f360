"""Transactions that meet a failure: repeated as a whole, and never longer than an operation may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from appdb import Database, DatabaseUnavailableError

LIMIT = timedelta(seconds=1)
GENEROUS_SECONDS = 10
WRITERS, STEPS, ENDED = 30, 4, 300
TRANSIENT = ["TransientTransactionError"]
UNKNOWN = ["UnknownTransactionCommitResult"]


@asynccontextmanager
async def failing(database: Database, mode: str | dict[str, int], **data: Any) -> AsyncIterator[None]:
    """Let the server fail certain commands for the length of the block."""
    admin = database.raw.client.admin
    await admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})
    try:
        yield
    finally:
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})


class Note:
    """Writes a document in a transaction, and counts how often it was asked to."""

    def __init__(self, database: Database) -> None:
        self.collection = database.collection("notes")
        self.tries = 0

    async def write(self, session: Any) -> int:
        self.tries += 1
        await self.collection.insert_one({"_id": "note"}, session=session)
        return self.tries


@pytest.mark.parametrize(
    ("command", "code", "labels", "tries"),
    [
        ("insert", 112, TRANSIENT, 2),
        ("commitTransaction", 251, TRANSIENT, 2),
        ("commitTransaction", 11601, UNKNOWN, 1),
        # What a living transaction meets that is taken for a dead one while it is under way.
        ("insert", 11601, [], 2),
        ("commitTransaction", 11601, [], 1),
    ],
)
async def test_briefly_failed_transaction_is_repeated(
    database: Database, command: str, code: int, labels: list[str], tries: int
) -> None:
    note = Note(database)
    await note.collection.insert_one({"_id": "another"})
    async with failing(database, {"times": 1}, failCommands=[command], errorCode=code, errorLabels=labels):
        answer = await database.transaction(note.write)

    assert (answer, note.tries) == (tries, tries)
    assert await note.collection.count_documents({}) == 2


@pytest.mark.parametrize(
    "failure",
    [
        {"failCommands": ["insert"], "errorCode": 112, "errorLabels": TRANSIENT},
        {"failCommands": ["commitTransaction"], "errorCode": 11601, "errorLabels": UNKNOWN},
        {"failCommands": ["insert"], "blockConnection": True, "blockTimeMS": 3_000},
    ],
    ids=["conflicts", "unknown commits", "silence"],
)
async def test_transaction_ends_at_operation_timeout(
    database: Database, mongo_uri: str, failure: dict[str, Any]
) -> None:
    async with Database(mongo_uri, database.name, operation_timeout=LIMIT) as limited:
        note = Note(limited)
        await note.collection.insert_one({"_id": "another"})
        async with asyncio.timeout(GENEROUS_SECONDS), failing(database, "alwaysOn", **failure):
            with pytest.raises(DatabaseUnavailableError):
                await limited.transaction(note.write)
    # What was neither committed nor aborted would keep its locks for a minute, and this waiting.
    async with asyncio.timeout(GENEROUS_SECONDS):
        await database.collection("notes").drop()


async def test_slow_live_transaction_is_repeated_after_abort(database: Database) -> None:
    notes, enough = database.collection("notes"), asyncio.Event()
    await notes.insert_many([{"_id": number, "times": 0} for number in range(WRITERS)])

    async def write(session: Any, *, number: int) -> None:
        for _ in range(STEPS):
            await notes.find_one_and_update({"_id": number}, {"$inc": {"times": 1}}, session=session)

    async def go_on(number: int) -> int:
        done = 0
        while not enough.is_set():
            await database.transaction(partial(write, number=number))
            done += 1
        return done

    ended = 0
    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(go_on(number)) for number in range(WRITERS)]
        while ended < ENDED:
            ended += await database.orphans.end(timedelta(0))
            await asyncio.sleep(0.3)  # in which some come to an end
        enough.set()

    done = {number: writer.result() for number, writer in enumerate(writers)}
    assert {row["_id"]: row["times"] async for row in notes.find()} == {number: STEPS * done[number] for number in done}
