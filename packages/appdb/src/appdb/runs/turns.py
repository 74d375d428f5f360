"""Taking turns at a fence: a transaction that meets another one begins again soon, not ever later."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from appdb._driver import PyMongoError, Session, is_write_conflict
from appdb.errors import DatabaseUnavailableError
from appdb.runs.store import Store

T = TypeVar("T")

PATIENCE_SECONDS = 30
PAUSE_SECONDS = 0.01
"""A few times what the transactions of others take."""


class BusyError(Exception):
    """Another transaction holds the fence."""


async def at_fence(write: Coroutine[Any, Any, T]) -> T:
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


async def in_turn(store: Store, body: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
    """Run *body* in a transaction, again and again while others hold its fence.

    The pauses of the usual loop grow, so that of many writers those who came first would come last.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await store.transaction(body)
        except BusyError as exc:
            if time.monotonic() >= deadline:
                raise DatabaseUnavailableError("waiting for others who write to the same run", "too many") from exc
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))
