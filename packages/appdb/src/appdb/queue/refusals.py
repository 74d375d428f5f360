"""Refusals: writes to a shared document that a dead host's transaction keeps locked, and how they get past it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appdb._driver import PyMongoError, is_write_conflict
from appdb.connection import Connection
from appdb.queue.orphaned_transactions import CONTENTION_WAIT, ORPHANED_AFTER, end_orphaned_transactions


class Refusals:
    """
    Notes for how long writes to a document are refused.

    A write in a caller's transaction is tried again by the caller alone. After two seconds without any success the
    transactions of dead hosts are ended, so that the next try finds the document free.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._since: dict[str, float] = {}

    @asynccontextmanager
    async def noted(self, key: str) -> AsyncIterator[None]:
        """Note whether the write in the block, to the document *key*, is refused."""
        try:
            yield
        except PyMongoError as exc:
            if is_write_conflict(exc):
                await self._refused(key)
            raise
        self._since.pop(key, None)

    async def _refused(self, key: str) -> None:
        now = time.monotonic()
        if now - self._since.setdefault(key, now) < CONTENTION_WAIT.total_seconds():
            return
        # Once in that time: what is refused by hosts that live is refused again.
        self._since[key] = now
        await end_orphaned_transactions(self._connection, ORPHANED_AFTER)
