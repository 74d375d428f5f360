"""Fixtures of all tests: a real MongoDB, and an empty database for each test."""

from __future__ import annotations

import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from appdb import Database
    from appsupport.mongo.shared_database import SharedDatabase


def pytest_configure() -> None:
    """Let the processes of tests hear Ctrl-C: what was started in the background has it ignored, and hands that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mongo_uri(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URI of a replica set; which one it is, is printed."""
    from appsupport.mongo.server import mongo_server

    with mongo_server(on_disk=False) as server:
        reporter = request.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"MongoDB for tests: {server.description}")
        yield server.uri


@pytest.fixture(scope="session")
def standalone_mongo_uri() -> Iterator[str]:
    """The URI of a MongoDB that is no replica set."""
    from appsupport.mongo.server import standalone_server

    with standalone_server() as uri:
        yield uri


@pytest.fixture
def database_name(mongo_uri: str) -> Iterator[str]:
    """A name that nobody else uses; the database is dropped after the test."""
    from pymongo import MongoClient

    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    with MongoClient[dict[str, object]](mongo_uri) as client:
        client.drop_database(name)


@pytest.fixture(scope="session")
def shared_database(mongo_uri: str) -> Iterator[SharedDatabase]:
    """A database that tests use one after another."""
    from appsupport.mongo.shared_database import SharedDatabase

    shared = SharedDatabase(mongo_uri)
    yield shared
    shared.drop()


@pytest.fixture
async def database(mongo_uri: str, shared_database: SharedDatabase) -> AsyncIterator[Database]:
    """An open, migrated, empty database."""
    from appdb import Database

    async with Database(mongo_uri, await shared_database.take()) as made:
        yield made
    await shared_database.give_back()


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder for the logs of a test's processes."""
    return tmp_path / "logs"
