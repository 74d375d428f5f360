"""The command line, and a stand-in for a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appdb import Database
from appsupport.cli.appdb_command import CommandLine, StandIn


@pytest.fixture
def command(mongo_uri: str, database: Database) -> Iterator[CommandLine]:
    line = CommandLine(mongo_uri, database.name)
    yield line
    line.stop()


@pytest.fixture
async def worker(database: Database) -> StandIn:
    made = StandIn(database)
    await made.announce()
    return made
