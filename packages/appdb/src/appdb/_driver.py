"""The one module that names a driver: connecting, sessions, streams, buckets and errors of Motor behind one seam."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from datetime import timedelta
from decimal import Decimal
from typing import Any, ParamSpec, TypeAlias, TypeVar

from bson import BSON, DBRef, Decimal128
from bson.errors import BSONError
from gridfs.errors import CorruptGridFile, NoFile
from motor.motor_asyncio import (
    AsyncIOMotorChangeStream,
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
    AsyncIOMotorGridFSBucket,
    AsyncIOMotorGridIn,
)
from pymongo import IndexModel, ReadPreference, ReturnDocument, UpdateMany, UpdateOne, WriteConcern, timeout
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern

from appdb.errors import AppDbError, DatabaseRefusedError, DatabaseUnavailableError, InvalidDataError
from appdb.utils import milliseconds

RawDocument: TypeAlias = dict[str, Any]
Client: TypeAlias = AsyncIOMotorClient[RawDocument]
RawDatabase: TypeAlias = AsyncIOMotorDatabase[RawDocument]
Collection: TypeAlias = AsyncIOMotorCollection[RawDocument]
Session: TypeAlias = AsyncIOMotorClientSession
ChangeStream: TypeAlias = AsyncIOMotorChangeStream[RawDocument]
Bucket: TypeAlias = AsyncIOMotorGridFSBucket
BucketWriter: TypeAlias = AsyncIOMotorGridIn

AFTER = ReturnDocument.AFTER
SCHEMES = ("mongodb://", "mongodb+srv://")
MAJORITY = WriteConcern(w="majority", j=True)
# Majority with j=false waits for the periodic journal flush: a hundred times slower.
LONGEST_TRANSACTION = timedelta(seconds=120)
"""How long a transaction is repeated when operations have no limit."""
ABORT_SECONDS = 1
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.005, 0.5

P = ParamSpec("P")
T = TypeVar("T")

__all__ = [
    "AFTER",
    "Bucket",
    "BucketWriter",
    "BulkWriteError",
    "ChangeStream",
    "Client",
    "Collection",
    "CorruptGridFile",
    "DuplicateKeyError",
    "IndexModel",
    "NoFile",
    "PyMongoError",
    "RawDatabase",
    "RawDocument",
    "ServerNotReadyError",
    "Session",
    "UpdateMany",
    "UpdateOne",
    "bucket",
    "connect",
    "decimal_of",
    "encoded_size",
    "end_idle_transactions",
    "hosts_of",
    "in_transaction",
    "is_write_conflict",
    "make_primary",
    "plain",
    "stored_decimal",
    "translates_errors",
    "translates_stream_errors",
    "watch",
    "with_local_reads",
    "within",
]


def connect(uri: str, *, app_name: str, operation_timeout: timedelta | None, selection_timeout: timedelta) -> Client:
    """Return a client with every setting that our promises rest on, whatever the URI says.

    Raises:
        InvalidDataError: The URI cannot be read; the message does not repeat it, since it may hold a password.
    """
    options: dict[str, Any] = {
        "appname": app_name,
        "tz_aware": True,
        "w": "majority",
        "journal": True,
        "retryWrites": True,
        "retryReads": True,
        "readPreference": "primary",
        "readConcernLevel": "majority",
        "serverSelectionTimeoutMS": milliseconds(selection_timeout),
    }
    if operation_timeout is not None:
        options["timeoutMS"] = milliseconds(operation_timeout)
    how = "write mongodb://HOST:PORT/?replicaSet=NAME"
    if not uri.startswith(SCHEMES):
        raise InvalidDataError("MongoDB URI", f"it has no known scheme; {how}")
    try:
        return AsyncIOMotorClient(uri, **options)
    except (InvalidURI, ConfigurationError, ValueError) as exc:
        raise InvalidDataError("MongoDB URI", f"it cannot be read ({type(exc).__name__}); {how}") from exc


def hosts_of(uri: str) -> str:
    """Return the hosts that *uri* names, without its user and password, for messages."""
    return uri.partition("://")[2].partition("/")[0].rpartition("@")[2]


async def in_transaction(
    client: Client, body: Callable[[Session], Coroutine[Any, Any, T]], limit: timedelta | None
) -> T:
    """Run *body* in a transaction, the whole of it again after a transient error, for at most *limit* in all.

    The driver's own loop goes on for two minutes, however long an operation may take, and Motor's does not repeat a
    first commit that failed.
    """
    deadline = time.monotonic() + (limit or LONGEST_TRANSACTION).total_seconds()
    async with await client.start_session() as session:
        for tries in itertools.count(1):
            try:
                return await _try_transaction(session, body, deadline)
            except PyMongoError as exc:
                pause = random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**tries))
                if not exc.has_error_label("TransientTransactionError") or time.monotonic() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)
    raise AssertionError("the loop ends by an answer or an error")


async def _try_transaction(session: Session, body: Callable[[Session], Coroutine[Any, Any, T]], deadline: float) -> T:
    # Transactions ignore the concerns of collections, so they are set here.
    session.start_transaction(ReadConcern("snapshot"), MAJORITY, ReadPreference.PRIMARY)
    try:
        with timeout(max(deadline - time.monotonic(), 0.001)):
            result = await body(session)
    except BaseException:
        # A primary that is gone has forgotten the transaction; one that is there must not keep its locks for it.
        with timeout(ABORT_SECONDS):
            await session.abort_transaction()
        raise
    with timeout(max(deadline - time.monotonic(), 0.001)):
        await _commit(session, deadline)
    return result


async def _commit(session: Session, deadline: float) -> None:
    while True:
        try:
            await session.commit_transaction()
            return
        except PyMongoError as exc:
            unknown = exc.has_error_label("UnknownTransactionCommitResult")
            if not unknown or time.monotonic() + FIRST_PAUSE_SECONDS >= deadline:
                raise
        await asyncio.sleep(FIRST_PAUSE_SECONDS)


def within(limit: timedelta | None) -> AbstractContextManager[None]:
    """Give everything in the block *limit* together, since the client's own timeout is for each operation alone."""
    return nullcontext() if limit is None else timeout(limit.total_seconds())


def is_write_conflict(exc: PyMongoError) -> bool:
    """Return whether a write in a transaction failed because another one has changed the document, or is at it."""
    return isinstance(exc, OperationFailure) and exc.code == _WRITE_CONFLICT


_WRITE_CONFLICT = 112


async def end_idle_transactions(client: Client, *, app_names: str, idle: timedelta) -> int:
    """End this user's transactions that got no command for *idle*, and return how many; no privilege is needed.

    Args:
        client: Asks the primary.
        app_names: A regular expression for the names of the applications whose transactions are meant.
        idle: How long nobody has spoken to them.
    """
    abandoned = {
        "type": "idleSession",
        "appName": {"$regex": app_names},
        "transaction.timeInactiveMicros": {"$gte": milliseconds(idle) * 1000},
    }
    mine: dict[str, Any] = {"$currentOp": {"allUsers": False, "idleSessions": True}}
    admin = client.admin.with_options(read_concern=ReadConcern("local"))
    sessions = [{"id": row["lsid"]["id"]} async for row in admin.aggregate([mine, {"$match": abandoned}])]
    if sessions:
        await client.admin.command("killSessions", sessions)
    return len(sessions)


def watch(database: RawDatabase, pipeline: Sequence[Mapping[str, Any]], *, max_await: timedelta) -> ChangeStream:
    """Return a change stream over all of *database*'s collections, starting when the block that it manages begins."""
    return database.watch(pipeline, max_await_time_ms=milliseconds(max_await))


def with_local_reads(collection: Collection) -> Collection:
    """Return *collection* as the primary has it now, also what no majority has confirmed yet."""
    return collection.with_options(read_concern=ReadConcern("local"))


def bucket(database: RawDatabase, name: str) -> Bucket:
    """Return the GridFS bucket *name*."""
    return AsyncIOMotorGridFSBucket(database, bucket_name=name, write_concern=MAJORITY)


def encoded_size(field: str, document: Mapping[str, Any]) -> int:
    """Return the size of *document* as BSON, in bytes.

    Raises:
        InvalidDataError: It holds a value that BSON has no form for, such as a lone surrogate.
    """
    try:
        return len(BSON.encode(document))
    except (BSONError, UnicodeError, OverflowError) as exc:
        raise InvalidDataError(field, f"cannot be stored: {exc}") from exc


def plain(value: object) -> object:
    """Return a stored *value* as it was written: drivers turn an object with ``$ref`` and ``$id`` into a reference."""
    if isinstance(value, DBRef):
        value = value.as_doc()
    if isinstance(value, Mapping):
        return {key: plain(found) for key, found in value.items()}
    if isinstance(value, list):
        return [plain(found) for found in value]
    return value


def stored_decimal(value: Decimal) -> Decimal128:
    """Return the stored form of *value*, in which the server adds exactly, up to 34 digits."""
    return Decimal128(value)


def decimal_of(stored: Decimal128 | int) -> Decimal:
    """Return what ``stored_decimal`` stored; a server's sum of nothing is an integer."""
    return stored.to_decimal() if isinstance(stored, Decimal128) else Decimal(stored)


def translates_errors(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Turn a driver's errors into ours at the edge of the package.

    Inside a caller's transaction (``session=`` given) the driver's error passes through, since the transaction's retry
    reads its labels; ``Database.transaction`` translates what is left.
    """

    @functools.wraps(method)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs.get("session") is not None:
            return await method(*args, **kwargs)
        try:
            return await method(*args, **kwargs)
        except AppDbError:
            raise
        except PyMongoError as exc:
            raise _translated(method.__qualname__, exc) from exc
        except (BSONError, UnicodeEncodeError) as exc:
            raise InvalidDataError(method.__qualname__, f"cannot be stored: {exc}") from exc

    return wrapper


def translates_stream_errors(method: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, AsyncGenerator[T, None]]:
    """Do what ``translates_errors`` does, for a method that yields."""

    @functools.wraps(method)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        try:
            async with aclosing(method(*args, **kwargs)) as stream:
                async for part in stream:
                    yield part
        except PyMongoError as exc:
            raise _translated(method.__qualname__, exc) from exc

    return wrapper


def _translated(doing: str, exc: PyMongoError) -> AppDbError:
    problem = f"{type(exc).__name__}: {str(exc).splitlines()[0][:300]}"
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
    repeatable = any(exc.has_error_label(label) for label in _REPEATABLE)
    if repeatable or isinstance(exc, unreachable) or exc.timeout or _codes(exc) & _NO_PRIMARY_CODES:
        return DatabaseUnavailableError(doing, problem)
    return DatabaseRefusedError(doing, problem)


_REPEATABLE = ("TransientTransactionError", "UnknownTransactionCommitResult", "RetryableWriteError")
# HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, ExceededTimeLimit,
# SocketException, NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk,
# NotPrimaryOrSecondary: inside a write's own error, the driver does not take them for a lost connection.
_NO_PRIMARY_CODES = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})


def _codes(exc: PyMongoError) -> set[int]:
    if not isinstance(exc, OperationFailure):
        return set()
    details = exc.details or {}
    parts = [*details.get("writeErrors", []), *details.get("writeConcernErrors", [])]
    return {exc.code or 0, *(int(part.get("code", 0)) for part in parts)}


class ServerNotReadyError(Exception):
    """A server that was just started does not take writes yet."""


async def make_primary(host: str, port: int, replica_set: str | None) -> None:
    """Make the mongod at *host* and *port* the primary of a replica set of one, if it is not yet.

    A data folder remembers the port that it was first served on, so the set's only member is renamed when it moved.

    Raises:
        ServerNotReadyError: It is not writable yet; ask again.
    """
    address = f"{host}:{port}"
    client: Client = AsyncIOMotorClient(address, directConnection=True, serverSelectionTimeoutMS=500)
    try:
        hello = await client.admin.command("hello")
        if hello.get("isWritablePrimary"):
            return
        if replica_set is not None:
            await _configure(client, address, replica_set)
    except OperationFailure as exc:
        if exc.code not in _NOT_READY_CODES:
            raise
        raise ServerNotReadyError(str(exc)) from exc
    except ConnectionFailure as exc:
        raise ServerNotReadyError(str(exc)) from exc
    finally:
        client.close()
    raise ServerNotReadyError(f"{address} is not writable yet")


# NotYetInitialized, InvalidReplicaSetConfig, ConfigurationInProgress, NotWritablePrimary, NotPrimaryOrSecondary,
# PrimarySteppedDown, NodeNotFound: a set of one that is still finding itself.
_NOT_READY_CODES = frozenset({94, 93, 109, 10107, 13436, 189, 74})


async def _configure(client: Client, address: str, replica_set: str) -> None:
    stored = await client.local["system.replset"].find_one()
    if stored is None:
        members = [{"_id": 0, "host": address}]
        await client.admin.command("replSetInitiate", {"_id": replica_set, "members": members})
    elif stored["members"][0]["host"] != address:
        stored["members"][0]["host"] = address
        stored["version"] += 1
        await client.admin.command("replSetReconfig", stored, force=True)
