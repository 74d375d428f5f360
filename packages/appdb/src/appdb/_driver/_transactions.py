"""Transactions: run again as a whole after a transient error, and never left open on the server."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeVar

from pymongo import timeout
from pymongo.errors import OperationFailure, PyMongoError

from appdb._driver._chosen import Client, Session, start_session, start_transaction
from appdb._driver._common import LOCAL
from appdb._driver._errors import is_interrupted
from appdb.utils import milliseconds

logger = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_TRANSACTION = timedelta(seconds=120)
"""How long a transaction is repeated when operations have no limit."""
END_SECONDS = 1
"""What ending a transaction that failed may take."""
_TRY: ContextVar[tuple[Session, dict[object, Any]] | None] = ContextVar("transaction", default=None)
"""The session of the transaction that this code is in, and the notes of its present try."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.5


async def in_transaction(
    client: Client, body: Callable[[Session], Coroutine[Any, Any, T]], limit: timedelta | None
) -> T:
    """Run *body* in a transaction, the whole of it again after a transient error, for at most *limit* in all.

    The driver's own loop goes on for two minutes, however long an operation may take, and Motor's does not repeat a
    first commit that failed.
    """
    deadline = time.monotonic() + (limit or LONGEST_TRANSACTION).total_seconds()
    async with await start_session(client) as session:
        for tries in itertools.count(1):
            try:
                return await _try_transaction(session, body, deadline)
            except PyMongoError as exc:
                pause = _pause(tries)
                if not _is_transient(exc) or time.monotonic() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)
    raise AssertionError("the loop ends by an answer or an error")


def _is_transient(exc: PyMongoError) -> bool:
    """Return whether the transaction may succeed when it is done again.

    Maintenance ends transactions that have been idle for a while, also those of a host that is only slow. An operation
    that is under way at that moment is interrupted, without the label that the next one gets.
    """
    return exc.has_error_label("TransientTransactionError") or is_interrupted(exc)


def _pause(tries: int) -> float:
    return random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**tries))


async def _try_transaction(session: Session, body: Callable[[Session], Coroutine[Any, Any, T]], deadline: float) -> T:
    await start_transaction(session)
    # New ones for each try, since what an earlier one did is undone.
    outer = _TRY.set((session, {}))
    try:
        with timeout(_left(deadline)):
            result = await body(session)
    except BaseException:
        # A primary that is gone has forgotten the transaction; one that is there must not keep its locks for it.
        with timeout(END_SECONDS):
            await session.abort_transaction()
        raise
    finally:
        _TRY.reset(outer)
    try:
        with timeout(_left(deadline)):
            await _commit(session, deadline)
    except BaseException:
        await _settle(session)
        raise
    return result


def notes_of(session: Session) -> dict[object, Any]:
    """Return what was noted in this try of the transaction that ``in_transaction`` runs in *session*, to add to it.

    It is empty where others began the transaction, and forgets what is added then: nobody knows when that ends.
    """
    present = _TRY.get()
    return present[1] if present is not None and present[0] is session else {}


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


async def _commit(session: Session, deadline: float) -> None:
    """Commit, again while the outcome is unknown: the server commits a transaction once, however often it is told."""
    for tries in itertools.count(1):
        try:
            await session.commit_transaction()
            return
        except PyMongoError as exc:
            pause = _pause(tries)
            unknown = exc.has_error_label("UnknownTransactionCommitResult") or is_interrupted(exc)
            if not unknown or time.monotonic() + pause >= deadline:
                raise
        await asyncio.sleep(pause)


async def _settle(session: Session) -> None:
    """End a transaction whose commit gave no answer: it has happened, or it does not happen any more.

    A server that refused to commit (one that is shutting down says so before it looks) would keep the transaction
    with its locks for a minute, and drivers do not abort what they have tried to commit.
    """
    try:
        with timeout(END_SECONDS):
            await session.client.admin.command("killSessions", [session.session_id])
    except PyMongoError as exc:
        # Without a primary no server knows the transaction.
        logger.warning("a transaction with an unknown outcome could not be ended", extra={"error": str(exc)})


async def end_idle_transactions(client: Client, *, app_names: str, idle: timedelta) -> int:
    """End this user's transactions that were *idle* so long, and return how many; no privilege is needed.

    The server tells how long a transaction has been idle in all: one that lives and has many short pauses is ended too.

    Args:
        client: Asks the primary.
        app_names: A regular expression for the names of the applications whose transactions are meant.
        idle: How long they have been idle in all, between their commands and since the last one.
    """
    abandoned = {
        "type": "idleSession",
        "appName": {"$regex": app_names},
        "transaction.timeInactiveMicros": {"$gte": milliseconds(idle) * 1000},
    }
    mine: dict[str, Any] = {"$currentOp": {"allUsers": False, "idleSessions": True}}
    # $currentOp takes no read concern but local, and the client's own is majority.
    admin = client.admin.with_options(read_concern=LOCAL)
    sessions = [{"id": row["lsid"]["id"]} async for row in admin.aggregate([mine, {"$match": abandoned}])]
    if sessions:
        await client.admin.command("killSessions", sessions)
    return len(sessions)


def is_write_conflict(exc: PyMongoError) -> bool:
    """Return whether a write in a transaction failed because another one has changed the document, or is at it."""
    return isinstance(exc, OperationFailure) and exc.code == _WRITE_CONFLICT


_WRITE_CONFLICT = 112
