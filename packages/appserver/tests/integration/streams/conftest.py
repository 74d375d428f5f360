"""A run that is watched."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from appdb import Database
from appsupport.mongo.running_feed import running_feed
from appsupport.workflows.watched_run import Watched


@pytest.fixture
async def watched(database: Database) -> AsyncIterator[Watched]:
    async with running_feed(database, events=True, runs=True) as feed:
        made = Watched(database, feed)
        await made.open()
        yield made
