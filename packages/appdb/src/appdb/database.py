"""The connection to MongoDB: opened with the settings that our promises rest on, and checked before it is used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from appdb._driver import (
    Client,
    Collection,
    RawDatabase,
    Session,
    check_name,
    close_client,
    connect,
    hosts_of,
    in_transaction,
    repeated,
    translates_errors,
    unfit,
    unfitness,
    within,
)
from appdb._version import __version__
from appdb.errors import (
    ContractMismatchError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    MigrationError,
    UnfitServerError,
)
from appdb.mixins.config import ConfigMixin
from appdb.mixins.history import HistoryMixin
from appdb.mixins.migrations import CONTRACT_VERSION, MigrationsMixin
from appdb.mixins.recovery import RecoveryMixin
from appdb.server_clock import ServerClock

logger = logging.getLogger(__name__)

T = TypeVar("T")

OLDEST_SERVER = (6, 0)
SELECTION_TIMEOUT = timedelta(seconds=8)
OPERATION_TIMEOUT = timedelta(seconds=8)
"""Lease (30 s) > worst election (12 s) + this: a failover expires nobody."""
PATIENCE = timedelta(seconds=12)
"""The worst election; with the operation timeout, the longest call that is repeated takes 20 s."""
NO_PATIENCE = timedelta(0)


def app_name_of(host: str, database: str) -> str:
    """Return the name under which *host*, such as ``appworker/0.4.0``, is known to the server of its *database*."""
    return f"{host} {database}"


class Database(ConfigMixin, HistoryMixin, MigrationsMixin, RecoveryMixin):
    """
    One MongoDB database, shared by every host.

    Open one per process, with ``async with Database(...)`` or ``open`` and ``close``.

    Args:
        uri: A MongoDB connection string. It must reach a replica set.

        name: The database's name: 1 to 63 bytes, and none of MongoDB's own databases.

        app_name: Shown in the server's logs and ``currentOp``; ``app_name_of`` the host unless given. Transactions of a
            host that died are ended by others of the same database who find them by that form of the name.

        operation_timeout: How long one operation may take, all retries included; ``None`` for no limit (migrations).

        selection_timeout: How long to look for a primary where there is no operation timeout, which else holds for
            that too.

        patience: How long a call of a repository, of the queue, or of settings, history and recovery is begun again,
            with jittered pauses, after it found no primary; the guarantees list the few that are not. ``NO_PATIENCE``
            leaves that to the caller, who then never waits longer than the operation timeout: so do hosts that have
            loops of their own, or somebody who waits.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        *,
        app_name: str | None = None,
        operation_timeout: timedelta | None = OPERATION_TIMEOUT,
        selection_timeout: timedelta = SELECTION_TIMEOUT,
        patience: timedelta = PATIENCE,
    ) -> None:
        check_name(name)
        self._client: Client = connect(
            uri,
            app_name=app_name or app_name_of(f"appdb/{__version__}", name),
            operation_timeout=operation_timeout,
            selection_timeout=selection_timeout,
        )
        self.operation_timeout = operation_timeout
        self._uri = uri
        self._hosts = hosts_of(uri)
        self._raw: RawDatabase = self._client[name]
        self.name = name
        self.clock = ServerClock(self.server_time)
        """The primary's time without a round trip for each question."""
        self.patience = patience

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Check that the server and the contract fit this code.

        Raises:
            DatabaseUnavailableError: No primary answered in time.
            UnfitServerError: The server is standalone or too old.
            ContractMismatchError: The database was never migrated, or is older or newer than this code.
        """
        await self.check_server()
        await self.check_contract()
        logger.info("the database is open", extra={"server": self._hosts, "database": self.name})
        if (weakness := await self._weak_default()) is not None:
            logger.warning("the server's default write concern is weak", extra={"problem": weakness})

    async def check(self) -> list[str]:
        """Return what is wrong with the server and the contract, each with what mends it; empty when all is well.

        ``open`` refuses all of it but a weak default write concern, which harms others and not us.

        Raises:
            DatabaseUnavailableError: No primary answered in time.
        """
        problems = []
        for look in (self.check_server, self.check_contract, self.pending_migrations):
            try:
                await look()
            except (UnfitServerError, ContractMismatchError, MigrationError) as exc:
                problems.append(str(exc))
        weakness = await self._weak_default()
        return problems if weakness is None else [*problems, weakness]

    @translates_errors
    async def close(self) -> None:
        """Close every connection; harmless when called twice."""
        await close_client(self._client)

    def collection(self, name: str) -> Collection:
        """Return the collection *name*."""
        return self._raw[name]

    @property
    def raw(self) -> RawDatabase:
        """The driver's database, for appdb's own modules."""
        return self._raw

    async def ping(self) -> None:
        """Ask the primary for a sign of life.

        Raises:
            DatabaseUnavailableError: No primary answered in time; the message names the hosts and what to do.
        """
        await self._hello()

    @translates_errors
    async def server_time(self) -> datetime:
        """Return the primary's clock, aware, in UTC."""
        # Bounded also where operations are not, as in a migration, which else waits for ever for a lost answer.
        with within(self.operation_timeout or OPERATION_TIMEOUT):
            # Commands do not take the client's options by themselves, and would answer without a zone.
            hello = await self._raw.command("hello", codec_options=self._raw.codec_options)
        now: datetime = hello["localTime"]
        return now

    def within_timeout(self) -> AbstractContextManager[None]:
        """Return a block in which all operations together take no longer than the operation timeout."""
        return within(self.operation_timeout)

    @translates_errors
    async def transaction(self, body: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        """Run *body* in one transaction and return its result: all its writes are seen together, or none.

        After a transient error the whole *body* runs again, and a commit without an answer is told again, both for the
        operation timeout in all; so it must have no effect outside of the database. A transaction that fails is ended
        on the server and leaves no locks. What comes after an unknown outcome is left to the caller: where running
        *body* twice is harmless, ``repeated`` goes on.

        Args:
            body: Gets the session, which it must pass as ``session=`` to every call.

        Raises:
            DatabaseUnavailableError: No primary answered in time; whether the writes happened is unknown.
        """
        return await in_transaction(self._client, body, self.operation_timeout)

    async def repeated(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what *call* gives, beginning it again while no primary answers, for the patience of this database.

        Args:
            call: Calls appdb; calling it twice must be harmless, since the first may have happened.

        Raises:
            DatabaseUnavailableError: There was no primary for all that time; the outcome of the last call is unknown.
        """
        return await repeated(call, self.patience)

    async def check_server(self) -> None:
        """Check that the server can hold the promises.

        Raises:
            DatabaseUnavailableError: No primary answered in time.
            UnfitServerError: The server is standalone, of a set with another name, or too old.
        """
        try:
            hello = await self._hello()
        except DatabaseUnavailableError as exc:
            if (problem := await unfitness(self._uri)) is None:
                raise
            raise UnfitServerError(problem) from exc
        if (problem := unfit(f"MongoDB at {self._hosts}", hello)) is not None:
            raise UnfitServerError(problem)
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

    async def _weak_default(self) -> str | None:
        """Return what is wrong with the default write concern of the server, if something is and we may know.

        Every write of ours names its own, so this is no reason to refuse the server; but a shell or a tool that writes
        without one could lose what it was told is written. A set with an arbiter has such a default.
        """
        try:
            answer = await self._default_concerns()
        except DatabaseRefusedError:
            return None  # a user of one database alone may not ask
        default = answer.get("defaultWriteConcern", {})
        if not default or default.get("w") == "majority":
            return None
        return (
            f"MongoDB at {self._hosts} acknowledges writes by default with w: {default.get('w')!r}, which an election "
            "can lose: appdb's own writes ask for a majority, those of other programs do not. Run "
            "db.adminCommand({setDefaultRWConcern: 1, defaultWriteConcern: {w: 'majority'}})."
        )

    @translates_errors
    async def _default_concerns(self) -> dict[str, Any]:
        answer: dict[str, Any] = await self._client.admin.command("getDefaultRWConcern")
        return answer

    async def _hello(self) -> dict[str, Any]:
        try:
            return await self._command("hello")
        except DatabaseUnavailableError as exc:
            raise DatabaseUnavailableError(
                f"connecting to MongoDB at {self._hosts}",
                f"{exc.problem}); check that it runs and that APP_MONGO_URI is right, or start a local one with "
                "`appdb dev-db` (pip install 'appdb[embedded]'",
            ) from exc
        except DatabaseRefusedError as exc:
            raise DatabaseRefusedError(f"connecting to MongoDB at {self._hosts}", exc.problem) from exc

    async def _server_version(self) -> tuple[int, ...]:
        info = await self._command("buildInfo")
        return tuple(info["versionArray"][:3])

    @translates_errors
    async def _command(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self._raw.command(name)
        return answer
