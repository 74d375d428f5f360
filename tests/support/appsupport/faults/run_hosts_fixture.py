"""The fixture of the fault tests that drive runs over real hosts; a test module asks for it by ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appdb import Database
from appsupport.faults.run_hosts import RunHosts
from appsupport.faults.worker_fleet_fixture import end_left_transactions
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
            await end_left_transactions(database)
