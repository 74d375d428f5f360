"""Transactions of hosts that died or froze in the middle: ended, so that what they locked can be written again."""

from __future__ import annotations

import logging
from datetime import timedelta

from appdb._driver import PyMongoError, end_idle_transactions
from appdb.database import Database

logger = logging.getLogger(__name__)

HOST_NAMES = "^app(db|server|worker)/"
PATIENCE = timedelta(seconds=2)
"""How long a write tries before it looks for transactions that dead hosts have left open."""
ABANDONED = timedelta(seconds=1)
"""How long such a transaction has been idle: what was left before the write began certainly has."""


async def end_abandoned_transactions(database: Database, idle: timedelta) -> int:
    """End our hosts' transactions that nobody has spoken to for *idle*, and return how many.

    A server keeps the transaction of a client that died for a minute or more, and until then nobody can write to the
    tasks in it. A host that lives and was only slow is told by its next call, and does that transaction again.
    """
    try:
        ended = await end_idle_transactions(database.raw.client, app_names=HOST_NAMES, idle=idle)
    except PyMongoError as exc:
        # They end by themselves, only later; what was to be recovered meanwhile must not wait for this.
        logger.warning("abandoned transactions could not be ended", extra={"error": str(exc)})
        return 0
    if ended:
        logger.warning("abandoned transactions were ended", extra={"count": ended})
    return ended
