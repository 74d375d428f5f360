"""The translation of the driver's errors into appdb's, at the edge of the package."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, ParamSpec, TypeVar

from bson import BSON
from bson.errors import BSONError, InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from appdb._driver._cancels import cancels_are_heard
from appdb.errors import (
    AppDbError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    InvalidDataError,
    TooLargeError,
)

P = ParamSpec("P")
T = TypeVar("T")

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""The server's limit for one document."""
_UNENCODABLE = (BSONError, UnicodeEncodeError, OverflowError, RecursionError)
"""What encoding raises for a value that BSON has no form for."""


def encoded_size(field: str, document: Mapping[str, Any]) -> int:
    """Return the size of *document* as BSON, in bytes.

    Raises:
        InvalidDataError: It holds a value that BSON has no form for, such as a lone surrogate.
    """
    try:
        return len(BSON.encode(document))
    except _UNENCODABLE as exc:
        raise InvalidDataError(field, f"cannot be stored: {exc}") from exc


def refused(exc: BulkWriteError) -> dict[int, int]:
    """Return the positions of the statements of a bulk write that were refused, each with the server's code.

    Raises:
        BulkWriteError: No majority has confirmed the other statements, which may yet be rolled back: their outcome is
            unknown. A repetition waits for a majority again, also where it finds everything written.
    """
    if exc.details.get("writeConcernErrors"):
        raise exc
    return {int(error["index"]): int(error["code"]) for error in exc.details.get("writeErrors", [])}


def translates_errors(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Turn a driver's errors into ours at the edge of the package.

    Inside a caller's transaction (``session=`` given) what the server said passes through, since the transaction's
    retry reads its labels; ``Database.transaction`` translates what is left.
    """

    @functools.wraps(method)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        in_transaction = kwargs.get("session") is not None
        with cancels_are_heard(), translated(method.__qualname__, in_transaction=in_transaction):
            return await method(*args, **kwargs)

    return wrapper


def translates_stream_errors(method: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, AsyncGenerator[T, None]]:
    """Do for an async generator what ``translates_errors`` does for a coroutine."""

    @functools.wraps(method)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        with translated(method.__qualname__):
            async with aclosing(method(*args, **kwargs)) as stream:
                async for part in stream:
                    yield part

    return wrapper


@contextmanager
def translated(doing: str, *, in_transaction: bool = False) -> Iterator[None]:
    """Turn a driver's errors in the block into ours; *doing* is what they name."""
    try:
        yield
    except AppDbError:
        raise
    except DocumentTooLarge as exc:
        raise TooLargeError(doing, None, MAX_DOCUMENT_BYTES) from exc
    except _UNENCODABLE as exc:
        raise _unencodable(doing, exc) from exc
    except PyMongoError as exc:
        if in_transaction:
            raise
        raise _translated(doing, exc) from exc
    except AttributeError as exc:
        # PyMongo fails over the labels of a findAndModify that no majority has confirmed, where types are decoded.
        if not isinstance(exc.obj, RawBSONDocument):
            raise
        raise DatabaseUnavailableError(doing, "no majority has confirmed a write, and its server goes away") from exc


def _unencodable(doing: str, exc: Exception) -> AppDbError:
    if isinstance(exc, InvalidBSON):
        return DatabaseRefusedError(doing, f"a stored document cannot be read: {exc}")
    return InvalidDataError(doing, f"a value cannot be stored: {str(exc)[:300]}")


def _translated(doing: str, exc: PyMongoError) -> AppDbError:
    said = _APPENDED.split(str(exc), maxsplit=1)[0].splitlines()[0][:300]
    problem = f"{type(exc).__name__}: {said}"
    # A write concern that was not met is an unknown outcome too: the write is there, and may yet be rolled back.
    # A connection that met a node between two roles says of itself that it knows no sessions.
    unreachable = (
        ConfigurationError,
        ConnectionFailure,
        NetworkTimeout,
        ExecutionTimeout,
        WaitQueueTimeoutError,
        WriteConcernError,
    )
    codes = _codes(exc)
    if codes & _TOO_LARGE_CODES:
        return TooLargeError(doing, None, MAX_DOCUMENT_BYTES)
    unconfirmed = isinstance(exc, OperationFailure) and (exc.details or {}).get("writeConcernErrors")
    labelled = any(exc.has_error_label(label) for label in _REPEATABLE)
    cut_off = labelled or unconfirmed or isinstance(exc, unreachable) or exc.timeout
    if cut_off or codes & (_NO_PRIMARY_CODES | _INTERRUPTED_CODES):
        return DatabaseUnavailableError(doing, problem)
    advice = "; ".join(text for code, text in _ADVICE.items() if code in codes)
    return DatabaseRefusedError(doing, f"{problem}; {advice}" if advice else problem)


_APPENDED = re.compile(r", full error: |, Topology Description: | \(configured timeouts: ")
"""What drivers put behind what went wrong; an operator reads one line, and advice stands at its end."""
_ADVICE = {
    13: "give the user the role readWrite on this database",
    18: "check user and password in the MongoDB URI, and name with authSource= the database that the user was made in",
}
_REPEATABLE = ("TransientTransactionError", "UnknownTransactionCommitResult", "RetryableWriteError")
# HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, ExceededTimeLimit,
# SocketException, NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk,
# NotPrimaryOrSecondary: inside a write's own error, the driver does not take them for a lost connection.
_NO_PRIMARY_CODES = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
# CursorKilled, Interrupted: the session was ended, or the operation killed; its outcome is unknown.
_INTERRUPTED_CODES = frozenset({237, 11601})
# BSONObjectTooLarge, and an update whose result would be over the limit, by a modifier and by a replacement.
_TOO_LARGE_CODES = frozenset({10334, 17419, 17420})


def is_interrupted(exc: PyMongoError) -> bool:
    """Return whether the operation or its session was ended by another client while it was under way."""
    return bool(_codes(exc) & _INTERRUPTED_CODES)


def _codes(exc: PyMongoError) -> set[int]:
    if not isinstance(exc, OperationFailure):
        return set()
    details = exc.details or {}
    parts = [*details.get("writeErrors", []), *details.get("writeConcernErrors", [])]
    return {exc.code or 0, *(int(part.get("code", 0)) for part in parts)}
