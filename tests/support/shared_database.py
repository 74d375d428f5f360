"""One database for many tests: migrated once, emptied after each, since making indexes takes longer than most tests."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import MongoClient

from appdb import Database
from time_machine import NOT_OF_TASKS


@contextmanager
def migrated_database(uri: str) -> Iterator[str]:
    """Make a database, yield its name, and drop it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    asyncio.run(_migrate(uri, name))
    try:
        yield name
    finally:
        with MongoClient[dict[str, object]](uri) as client:
            client.drop_database(name)


async def _migrate(uri: str, name: str) -> None:
    database = Database(uri, name)
    try:
        await database.migrate()
    finally:
        await database.close()


async def empty(database: Database) -> None:
    """Delete everything but what migrations have left."""
    for name in await database.raw.list_collection_names():
        if not name.startswith(NOT_OF_TASKS):
            await database.collection(name).delete_many({})
