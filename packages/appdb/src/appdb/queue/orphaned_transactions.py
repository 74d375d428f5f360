"""Orphaned transactions: those of hosts that died or froze are ended, so that their documents can be written again."""

from __future__ import annotations

import logging
import re
import time
from datetime import timedelta

from appdb._driver import PyMongoError, end_idle_transactions
from appdb.connection import Connection

logger = logging.getLogger(__name__)

CONTENTION_WAIT = timedelta(seconds=2)
"""The time that a write tries before it looks for transactions that dead hosts have left open."""
ORPHANED_AFTER = timedelta(seconds=1)
"""The idle time of an orphaned transaction: one that was left before the write began has certainly reached it."""

FIRST_REFUSED = 2
"""The number of the try before which a transaction was refused once."""


async def end_orphaned_transactions(connection: Connection, idle: timedelta) -> int:
    """End transactions of our hosts of this database that got no command for *idle*, and return how many.

    A server keeps the transaction of a client that died for a minute or more, and until then no host can write to the
    tasks in it. A host that lives and was only slow is told by its next call, and does that transaction again.
    """
    try:
        ended = await end_idle_transactions(connection.raw.client, app_names=_hosts_of(connection.name), idle=idle)
    except PyMongoError as exc:
        # They end by themselves, only later; what was to be recovered meanwhile must not wait for this.
        logger.warning("abandoned transactions could not be ended", extra={"error": str(exc)})
        return 0
    if ended:
        logger.warning("abandoned transactions were ended", extra={"count": ended})
    return ended


class ContendedError(Exception):
    """Other transactions of living hosts keep writing to the same documents, so this one is given up."""


class Contention:
    """
    The tries of one transaction that competitors keep from its documents.

    Only time after a first refusal counts: where the database is far, one try takes long without any competitor.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tries = 0
        self._until = 0.0
        self._asked = False

    async def try_again(self) -> None:
        """Begin a try; after two seconds of refusals, end the transactions of dead hosts first.

        Raises:
            ContendedError: Two seconds after that it is refused still.
        """
        # The first try has met no competitor yet, so the wait begins with the second.
        self._tries += 1
        if self._tries == FIRST_REFUSED:
            self._until = time.monotonic() + CONTENTION_WAIT.total_seconds()
        if self._tries < FIRST_REFUSED or time.monotonic() < self._until:
            return
        if self._asked:
            raise ContendedError
        self._asked = True
        await end_orphaned_transactions(self._connection, ORPHANED_AFTER)
        self._until = time.monotonic() + CONTENTION_WAIT.total_seconds()


def _hosts_of(name: str) -> str:
    return rf"^app(db|server|worker)/\S+ {re.escape(name)}$"
