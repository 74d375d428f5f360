"""A change feed that runs: its stream is open, so from then on no hint is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from appdb import ChangeFeed, Database

OPENED_WITHIN = timedelta(seconds=5)


@asynccontextmanager
async def running_feed(database: Database, *, events: bool, runs: bool = False) -> AsyncIterator[ChangeFeed]:
    """Run a feed for the length of the block; *events* and *runs* as for ``ChangeFeed``."""
    feed = ChangeFeed(database, events=events, runs=runs)
    running = asyncio.create_task(feed.run())
    with feed.subscribe("any") as opened:
        assert await opened.wait(OPENED_WITHIN)
    try:
        yield feed
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
