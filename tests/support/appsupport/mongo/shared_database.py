"""One database for many tests: migrated once, emptied after each, since making indexes takes longer than most tests."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from appdb import AppDbError, Database

LEFT_BY_MIGRATIONS = ("migrations", "system.")
CONFIG = "config"
EMPTIED_WITHIN = timedelta(seconds=5)


@contextmanager
def migrated_database(uri: str) -> Iterator[str]:
    """Make a database, yield its name, and drop it."""
    name = asyncio.run(_new(uri))
    try:
        yield name
    finally:
        _drop(uri, name)


class SharedDatabase:
    """A migrated database that tests use one after another, replaced when one leaves it other than it was."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._name: str | None = None
        self._indexes = 0

    async def take(self) -> str:
        """Return the name of a database that is migrated and empty."""
        if self._name is None:
            self._name = await _new(self._uri)
            self._indexes = await self._count_indexes()
        return self._name

    async def give_back(self) -> None:
        """Empty the database, or drop it when it cannot be emptied or its schema is another one now."""
        try:
            async with Database(self._uri, self._name or "", operation_timeout=EMPTIED_WITHIN) as database:
                await empty(database)
            fit = await self._fits()
        except (AppDbError, PyMongoError):
            fit = False  # a killed host left a transaction open, or the test changed the contract
        if not fit:
            self.drop()

    def drop(self) -> None:
        """Drop the database."""
        name, self._name = self._name, None
        if name is not None:
            _drop(self._uri, name)

    async def _fits(self) -> bool:
        database = Database(self._uri, self._name or "")
        try:
            await database.check_contract()
            if "system.profile" in await database.raw.list_collection_names():
                return False
            # More of them is the bucket's doing, and does not matter.
            return not await database.pending_migrations() and await self._count_indexes() >= self._indexes
        finally:
            await database.close()

    async def _count_indexes(self) -> int:
        with MongoClient[dict[str, Any]](self._uri) as client:
            return int((await asyncio.to_thread(client[self._name or ""].command, "dbStats"))["indexes"])


async def empty(database: Database) -> None:
    """Delete everything but what migrations have left."""
    for name in await database.raw.list_collection_names():
        if name == CONFIG:
            await database.collection(name).delete_many({"_id": {"$ne": "contract"}})
        elif not name.startswith(LEFT_BY_MIGRATIONS):
            await database.collection(name).delete_many({})


async def _new(uri: str) -> str:
    name = f"test_{uuid.uuid4().hex[:12]}"
    database = Database(uri, name)
    try:
        await database.migrate()
    finally:
        await database.close()
    return name


def _drop(uri: str, name: str) -> None:
    with MongoClient[dict[str, object]](uri) as client:
        client.drop_database(name)
