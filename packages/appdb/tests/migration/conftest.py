"""A database that nobody has migrated yet, and the command line on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from appdb import Database
from appsupport.cli.appdb_command import CommandLine


@pytest.fixture
async def empty(mongo_uri: str, database_name: str) -> AsyncIterator[Database]:
    made = Database(mongo_uri, database_name, operation_timeout=None)
    yield made
    await made.close()


@pytest.fixture
def command(mongo_uri: str, database_name: str) -> Iterator[CommandLine]:
    line = CommandLine(mongo_uri, database_name)
    yield line
    line.stop()
