"""The fixture of the fault tests that drive runs over real hosts; a test module asks for it by ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from appdb import Database
from appdb.queue.orphaned_transactions import end_orphaned_transactions
from appsupport.faults.run_hosts import RunHosts
from appsupport.providers.openai_server import openai_server


@pytest.fixture
async def run_hosts(mongo_uri: str, database: Database, logs: Path) -> AsyncIterator[RunHosts]:
    """Hosts on a database of the test's own, none of them started, and a server of models."""
    with openai_server() as (models_url, _):
        made = RunHosts(uri=mongo_uri, database=database, logs=logs, models_url=models_url)
        try:
            yield made
        finally:
            made.end()
            # Whoever was killed inside a transaction would keep the database from being dropped for a minute or more.
            await end_orphaned_transactions(database, timedelta(0))
