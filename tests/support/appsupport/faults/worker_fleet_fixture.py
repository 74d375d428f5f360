"""The fixture of the fault tests that run workers; a test module asks for it by ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from appdb import Database
from appsupport.faults.ledger import Ledger
from appsupport.faults.worker_fleet import Fleet


@pytest.fixture
async def fleet(mongo_uri: str, database: Database, logs: Path, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Workers on a database of the test's own, with a ledger that is open."""
    ledger = await Ledger.open(database, tmp_path / "notes")
    made = Fleet(uri=mongo_uri, database=database, ledger=ledger, logs=logs)
    try:
        yield made
    finally:
        made.end()
        await end_left_transactions(database)


async def end_left_transactions(database: Database) -> None:
    """End what killed hosts left open: it would keep the database from being dropped for a minute or more."""
    await database.orphans.end(timedelta(0))
