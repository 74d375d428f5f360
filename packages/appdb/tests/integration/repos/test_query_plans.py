"""Every method of every repository finds what it wants by an index, among 100,000 documents that it does not want."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from appdb import Database, uuid7_str
from appdb._schema.collections import FILES_BUCKET, MEDIA_BUCKET
from appdb.content.stored_bytes import ByteStore
from appsupport.scenarios.scenario import Stage
from appsupport.scenarios.table import SCENARIOS, SCENES, made_for

pytestmark = pytest.mark.timeout(600)  # the crowd of all collections takes minutes on a busy machine
OTHERS = 100_000
BATCH = 10_000
FEW_KEYS = 4
"""A look past the end of an interval, or a document that is only compared."""
Raw = dict[str, Any]


@pytest.fixture(scope="module")
def crowded_name(mongo_uri: str) -> Iterator[str]:
    """The name of a database with a crowd in each collection that grows."""
    name = f"test_crowd_{uuid.uuid4().hex[:8]}"
    asyncio.run(_migrate(mongo_uri, name))
    with MongoClient[Raw](mongo_uri, w=1) as client:
        for scenes in SCENES:
            for collection, row in scenes.crowds.items():
                _fill(client[name][collection], row)
        yield name
        client.drop_database(name)


def _fill(collection: Collection[Raw], row: Callable[[int], Raw]) -> None:
    """Insert the crowd without indexes and make those afterwards, which is a fraction of the server's work."""
    indexes = [index for index in collection.list_indexes() if index["name"] != "_id_"]
    collection.drop_indexes()
    for first in range(0, OTHERS, BATCH):
        rows = [row(number) for number in range(first, first + BATCH)]
        collection.insert_many(rows, ordered=False)
    if indexes:
        collection.database.command("createIndexes", collection.name, indexes=indexes)


async def _migrate(mongo_uri: str, name: str) -> None:
    database = Database(mongo_uri, name)
    await database.migrate()
    for bucket_name in (MEDIA_BUCKET, FILES_BUCKET):
        # The first upload of all makes the bucket's indexes, so it comes before the crowd.
        await ByteStore(database, bucket_name).upload_bytes(b"first", filename="first", metadata={})
    await database.close()


@pytest.fixture
async def crowded(mongo_uri: str, crowded_name: str) -> AsyncIterator[Database]:
    async with Database(mongo_uri, crowded_name) as opened:
        yield opened


@asynccontextmanager
async def profiled(database: Database) -> AsyncIterator[list[Raw]]:
    """Yield a list that holds, after the block, what the server noted of every command that reads or changes."""
    notes: list[Raw] = []
    await database.raw.command("profile", 2)
    try:
        yield notes
    finally:
        await database.raw.command("profile", 0)
        namespace = {"$not": {"$regex": r"\.system\."}}
        found = database.collection("system.profile").find({"ns": namespace, "op": {"$ne": "insert"}})
        notes += [note async for note in found if "planSummary" in note]
        await database.collection("system.profile").drop()


@pytest.mark.parametrize("name", sorted(name for name, scenario in SCENARIOS.items() if not scenario.scans))
async def test_keys_examined_stay_close_to_results(name: str, crowded: Database) -> None:
    scenario, stage = SCENARIOS[name], Stage(database=crowded, owner=uuid7_str("usr_"))
    made = await scenario.prepare(stage)
    subject = made_for(scenario, crowded)
    async with profiled(crowded) as notes:
        await scenario.call(subject, made, stage.owner)

    for note in notes:
        assert "COLLSCAN" not in note["planSummary"] or _takes_any(note), _told(note)
        assert note.get("keysExamined", 0) <= 2 * _found(note) + FEW_KEYS + scenario.extra_keys, _told(note)
        assert note.get("docsExamined", 0) <= 2 * _found(note) + FEW_KEYS + scenario.extra_keys, _told(note)


async def test_collection_scan_would_fail(crowded: Database) -> None:
    async with profiled(crowded) as notes:
        await crowded.collection("tasks").find_one({"payload.unknown": 1})
        await crowded.collection("tasks").count_documents({"owner_id": "usr_" + "0" * 32, "payload.unknown": 1})

    assert [note["planSummary"].split()[0] for note in notes] == ["COLLSCAN", "IXSCAN"]
    assert notes[1]["keysExamined"] > FEW_KEYS


def _takes_any(note: Raw) -> bool:
    """Return whether any one document was asked for: so GridFS finds out whether it is used for the first time."""
    command = note["command"]
    return command.get("filter") == {} and command.get("limit") == 1 and int(note["docsExamined"]) <= 1


def _found(note: Raw) -> int:
    command = note["command"]
    if "distinct" in command:
        return len(command["query"][command["key"]]["$in"])  # what it found is not told; each value is sought once
    return max(int(note.get(name, 0)) for name in ("nreturned", "nMatched", "nModified", "ndeleted", "nUpserted"))


def _told(note: Raw) -> str:
    keys = ("op", "ns", "planSummary", "keysExamined", "docsExamined", "nreturned", "nMatched", "command")
    return str({key: note.get(key) for key in keys})
