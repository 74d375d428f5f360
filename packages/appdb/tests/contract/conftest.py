"""Every test of the contract runs over the real queue and over the one in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from appdb import Database
from appsupport.mongo.shared_database import empty, migrated_database
from appsupport.queue.queue_contract import MemorySubject, MongoSubject, Subject


@pytest.fixture(scope="module")
def migrated(mongo_uri: str) -> Iterator[str]:
    """The name of a database for the tests of a module, which leave it empty."""
    with migrated_database(mongo_uri) as name:
        yield name


@pytest.fixture
async def database(mongo_uri: str, migrated: str) -> AsyncIterator[Database]:
    """An open database with nothing but its indexes."""
    async with Database(mongo_uri, migrated) as opened:
        yield opened
        await empty(opened)


@pytest.fixture(params=["memory", "mongodb"])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "memory":
        return MemorySubject()
    return MongoSubject(request.getfixturevalue("database"))
