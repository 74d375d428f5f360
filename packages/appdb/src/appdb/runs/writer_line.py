"""The writer line: writers of one run wait for the run lock in line, and try again after short pauses."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from appdb._driver import PyMongoError, Session, is_write_conflict
from appdb.connection import Connection
from appdb.errors import DatabaseUnavailableError
from appdb.orphaned_transactions import Refusals

T = TypeVar("T")

LONGEST_WAIT_SECONDS = 30
PAUSE_SECONDS = 0.03
"""The longest pause: a few times the length of a writer's transaction."""


class BusyError(Exception):
    """Another transaction holds the run lock."""


async def lock_or_busy(write: Coroutine[Any, Any, T]) -> T:
    """Do the first write of a transaction, which takes the run lock.

    Raises:
        BusyError: Another transaction holds it.
    """
    try:
        return await write
    except PyMongoError as exc:
        if is_write_conflict(exc):
            raise BusyError from exc
        raise


class WriterLine:
    """Orders the writers of one run: in line within a process, by short pauses between processes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def in_line(self, run_id: str, body: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """Run *body* in a transaction, again and again while others hold the run lock.

        Raises:
            DatabaseUnavailableError: Others wrote to the run for half a minute without a break.
        """
        # Within a process writers wait here, and do not meet at the server as write conflicts.
        line = self._lines.setdefault(run_id, asyncio.Lock())
        async with line:
            deadline, refusals = time.monotonic() + LONGEST_WAIT_SECONDS, Refusals(self._connection.orphans)
            while True:
                try:
                    return await self._connection.transaction(body)
                except BusyError as exc:
                    if time.monotonic() >= deadline:
                        raise DatabaseUnavailableError(f"writing to run {run_id}", "others do all the time") from exc
                await refusals.count()
                # The driver's retry pauses grow, which would starve the writers that came first; these do not grow.
                await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))
