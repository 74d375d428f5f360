"""The connection to MongoDB: opened with the settings that our promises rest on, and checked before it is used."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from appdb._driver import (
    Bucket,
    Client,
    Collection,
    RawDatabase,
    Session,
    bucket,
    connect,
    hosts_of,
    in_transaction,
    translates_errors,
    within,
)
from appdb._schema import collections
from appdb._version import __version__
from appdb.errors import ContractMismatchError, DatabaseUnavailableError, UnfitServerError
from appdb.mixins.config import ConfigMixin
from appdb.mixins.history import HistoryMixin
from appdb.mixins.migrations import CONTRACT_VERSION, MigrationsMixin
from appdb.mixins.recovery import RecoveryMixin
from appdb.server_clock import ServerClock

T = TypeVar("T")

OLDEST_SERVER = (6, 0)
SELECTION_TIMEOUT = timedelta(seconds=8)
OPERATION_TIMEOUT = timedelta(seconds=8)
"""Lease (30 s) > worst election (12 s) + this: a failover expires nobody."""


class Database(ConfigMixin, HistoryMixin, MigrationsMixin, RecoveryMixin):
    """
    One MongoDB database, shared by every host.

    Open one per process, with ``async with Database(...)`` or ``open`` and ``close``.

    Args:
        uri: A MongoDB connection string. It must reach a replica set.

        name: The database's name.

        app_name: Shown in the server's logs and ``currentOp``, such as ``appworker/0.2.0``.

        operation_timeout: How long one operation may take, all retries included; ``None`` for no limit (migrations).

        selection_timeout: How long to look for a primary.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        *,
        app_name: str = f"appdb/{__version__}",
        operation_timeout: timedelta | None = OPERATION_TIMEOUT,
        selection_timeout: timedelta = SELECTION_TIMEOUT,
    ) -> None:
        self._client: Client = connect(
            uri, app_name=app_name, operation_timeout=operation_timeout, selection_timeout=selection_timeout
        )
        self._operation_timeout = operation_timeout
        self._hosts = hosts_of(uri)
        self._raw: RawDatabase = self._client[name]
        self.name = name
        self.clock = ServerClock(self.server_time)
        """The primary's time without a round trip for each question."""

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def open(self) -> None:
        """Check that the server and the contract fit this code.

        Raises:
            DatabaseUnavailableError: No primary answered in time.
            UnfitServerError: The server is standalone or too old.
            ContractMismatchError: The database was never migrated, or is older or newer than this code.
        """
        await self.check_server()
        await self.check_contract()

    def close(self) -> None:
        """Close every connection; harmless when called twice."""
        self._client.close()

    def collection(self, name: str) -> Collection:
        """Return the collection *name*."""
        return self._raw[name]

    @property
    def raw(self) -> RawDatabase:
        """The driver's database, for appdb's own modules."""
        return self._raw

    @property
    def media(self) -> Bucket:
        """The GridFS bucket that holds the bytes of content."""
        return bucket(self._raw, collections.MEDIA_BUCKET)

    async def ping(self) -> None:
        """Ask the primary for a sign of life.

        Raises:
            DatabaseUnavailableError: No primary answered in time; the message names the hosts and what to do.
        """
        await self._hello()

    @translates_errors
    async def server_time(self) -> datetime:
        """Return the primary's clock, aware, in UTC."""
        # Commands do not take the client's options by themselves, and would answer without a zone.
        hello = await self._raw.command("hello", codec_options=self._raw.codec_options)
        now: datetime = hello["localTime"]
        return now

    def within_timeout(self) -> AbstractContextManager[None]:
        """Return a block in which all operations together take no longer than the operation timeout."""
        return within(self._operation_timeout)

    @translates_errors
    async def transaction(self, body: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """Run *body* in one transaction and return its result: all its writes are seen together, or none.

        After a transient error the whole *body* runs again, so it must have no effect outside of the database.

        Args:
            body: Gets the session, which it must pass as ``session=`` to every call.

        Raises:
            DatabaseUnavailableError: No primary answered in time; whether the writes happened is unknown.
        """
        return await in_transaction(self._client, body, self._operation_timeout)

    async def check_server(self) -> None:
        """Check that the server can hold the promises.

        Raises:
            DatabaseUnavailableError: No primary answered in time.
            UnfitServerError: The server is standalone or too old.
        """
        hello = await self._hello()
        if "setName" not in hello:
            raise UnfitServerError(
                f"MongoDB at {self._hosts} is a standalone server: transactions and change streams need a replica set. "
                "Start mongod with --replSet rs0 and run rs.initiate() once (one node is enough), "
                "or run `appdb dev-db` for a local one."
            )
        version = await self._server_version()
        if version[:2] < OLDEST_SERVER:
            raise UnfitServerError(
                f"MongoDB at {self._hosts} is version {'.'.join(map(str, version))}; "
                f"{'.'.join(map(str, OLDEST_SERVER))} or newer is needed. Upgrade the server."
            )

    async def check_contract(self) -> None:
        """Check that the documents mean what this code takes them to mean.

        Raises:
            ContractMismatchError: The database was never migrated, is older than this code, or so much newer that
                this code's contract may not work with it any more.
        """
        found = await self.contract()
        if found is not None and found.oldest <= CONTRACT_VERSION <= found.newest:
            return
        if found is None or found.newest < CONTRACT_VERSION:
            state = "was never migrated" if found is None else f"has contract version {found.newest}"
            raise ContractMismatchError(
                f"database {self.name!r} at {self._hosts} {state}, and this appdb {__version__} needs "
                f"{CONTRACT_VERSION}. Run `appdb migrate` with the same APP_MONGO_URI and APP_MONGO_DATABASE."
            )
        raise ContractMismatchError(
            f"database {self.name!r} at {self._hosts} has contract version {found.newest}, which asks for "
            f"{found.oldest} or newer, and this appdb {__version__} only knows {CONTRACT_VERSION}. "
            "Upgrade this host's package."
        )

    async def _hello(self) -> dict[str, Any]:
        try:
            return await self._command("hello")
        except DatabaseUnavailableError as exc:
            raise DatabaseUnavailableError(
                f"connecting to MongoDB at {self._hosts}",
                f"{exc.problem}); check that it runs and that APP_MONGO_URI is right, or start a local one with "
                "`appdb dev-db` (pip install 'appdb[embedded]'",
            ) from exc

    async def _server_version(self) -> tuple[int, ...]:
        info = await self._command("buildInfo")
        return tuple(info["versionArray"][:3])

    @translates_errors
    async def _command(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self._raw.command(name)
        return answer
