"""Taking turns at a fence: a transaction that meets another one begins again soon, not ever later."""

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

T = TypeVar("T")

LONGEST_WAIT_SECONDS = 30
PAUSE_SECONDS = 0.03
"""A few times what the transactions of others take."""


class BusyError(Exception):
    """Another transaction holds the fence."""


async def lock_or_busy(write: Coroutine[Any, Any, T]) -> T:
    """Do the first write of a transaction.

    Raises:
        BusyError: Another transaction is at it.
    """
    try:
        return await write
    except PyMongoError as exc:
        if is_write_conflict(exc):
            raise BusyError from exc
        raise


class WriterLine:
    """Lets writers of one run come one after the other: in line within a process, by short pauses between processes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def in_line(self, run_id: str, body: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """Run *body* in a transaction, again and again while others hold the run's fence.

        The pauses of the usual loop grow, so that of many writers those who came first would come last.

        Raises:
            DatabaseUnavailableError: Others wrote to the run for half a minute without a break.
        """
        line = self._lines.setdefault(run_id, asyncio.Lock())
        async with line:
            deadline = time.monotonic() + LONGEST_WAIT_SECONDS
            while True:
                try:
                    return await self._connection.transaction(body)
                except BusyError as exc:
                    if time.monotonic() >= deadline:
                        raise DatabaseUnavailableError(f"writing to run {run_id}", "others do all the time") from exc
                await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))
