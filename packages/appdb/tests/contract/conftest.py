"""Every test of the contract runs over the real queue and over the one in memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from appdb import Database
from queue_contract import MemorySubject, MongoSubject, Subject
from time_machine import NOT_OF_TASKS


@pytest.fixture(scope="module")
def migrated(mongo_uri: str) -> Iterator[str]:
    """The name of a database for the tests of a module, which leave it empty."""
    from pymongo import MongoClient

    name = f"test_{uuid.uuid4().hex[:12]}"
    asyncio.run(Database(mongo_uri, name).migrate())
    yield name
    with MongoClient[dict[str, object]](mongo_uri) as client:
        client.drop_database(name)


@pytest.fixture
async def database(mongo_uri: str, migrated: str) -> AsyncIterator[Database]:
    """An open database with nothing but its indexes: making those would take longer than a test does."""
    async with Database(mongo_uri, migrated) as opened:
        yield opened
        for name in await opened.raw.list_collection_names():
            if not name.startswith(NOT_OF_TASKS):
                await opened.collection(name).delete_many({})


@pytest.fixture(params=["memory", "mongodb"])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "memory":
        return MemorySubject()
    return MongoSubject(request.getfixturevalue("database"))
