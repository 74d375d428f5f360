"""Orphaned transactions: those of hosts that died or froze are ended, so that their documents can be written again."""

from __future__ import annotations

import logging
import re
import time
from datetime import timedelta

from appdb._driver import Client, PyMongoError, end_idle_transactions

logger = logging.getLogger(__name__)

CONTENTION_WAIT = timedelta(seconds=2)
"""The time that a write tries before it looks for transactions that dead hosts have left open."""
ORPHANED_AFTER = timedelta(seconds=1)
"""The idle time of an orphaned transaction: one that was left before the write began has certainly reached it."""


class OrphanedTransactions:
    """
    The transactions that dead hosts of one database have left open.

    A server keeps the transaction of a client that died for a minute or more, and until then no host can write to the
    documents in it. A host that lives and was only slow, or had many pauses, is told by its next call, and does that
    transaction again.

    Args:
        client: Asks the primary.
        name: The database's name.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._hosts = rf"^app(db|server|worker)/\S+ {re.escape(name)}$"

    async def end(self, idle: timedelta) -> int:
        """End those that were *idle* so long in all, and return how many."""
        try:
            ended = await end_idle_transactions(self._client, app_names=self._hosts, idle=idle)
        except PyMongoError as exc:
            # They end by themselves, only later; what was to be recovered meanwhile must not wait for this.
            logger.warning("abandoned transactions could not be ended", extra={"error": str(exc)})
            return 0
        if ended:
            logger.warning("abandoned transactions were ended", extra={"count": ended})
        return ended


class Refusals:
    """
    The refusals of one write, which is tried again and again while others hold its documents.

    After two seconds of them the transactions of dead hosts are ended, so that the next try finds the documents free.

    Args:
        orphans: What dead hosts have left open.
    """

    def __init__(self, orphans: OrphanedTransactions) -> None:
        self._orphans = orphans
        self._since: float | None = None

    async def count(self) -> None:
        """Count a refusal."""
        now = time.monotonic()
        if self._since is not None and now - self._since < CONTENTION_WAIT.total_seconds():
            return
        refused_before, self._since = self._since is not None, now
        if refused_before:
            # Once in that time: what is refused by hosts that live is refused again.
            await self._orphans.end(ORPHANED_AFTER)
