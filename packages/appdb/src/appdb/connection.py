"""The connection to one MongoDB database: its client, collections, transactions, retries and times.

Everything of appdb that reads or writes stands on it; it knows nothing of what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from appdb._driver import (
    Client,
    Collection,
    PyMongoError,
    RawDatabase,
    Session,
    check_name,
    close_client,
    connect,
    hosts_of,
    in_transaction,
    is_write_conflict,
    retry,
    translates_errors,
    within,
)
from appdb._version import __version__
from appdb.errors import DatabaseRefusedError, DatabaseUnavailableError
from appdb.orphaned_transactions import OrphanedTransactions, Refusals
from appdb.server_clock import ServerClock

T = TypeVar("T")

SELECTION_TIMEOUT = timedelta(seconds=8)
OPERATION_TIMEOUT = timedelta(seconds=8)
"""Lease (30 s) > worst election (12 s) + this: no lease expires by a failover."""
RETRY_TIMEOUT = timedelta(seconds=12)
"""The worst election; with the operation timeout, the longest call that is retried takes 20 s."""
NO_RETRIES = timedelta(0)


def app_name_of(host: str, database: str) -> str:
    """Return the name under which *host*, such as ``appworker/0.4.0``, is known to the server of its *database*."""
    return f"{host} {database}"


class Connection:
    """
    The client of one MongoDB database, with the settings that our promises rest on.

    Repositories and their parts stand on it; hosts open a ``Database``, which is a connection that is checked.

    Args:
        uri: A MongoDB connection string. It must reach a replica set.

        name: The database's name: 1 to 63 bytes, and none of MongoDB's own databases.

        app_name: Shown in the server's logs and ``currentOp``; ``app_name_of`` the host unless given. Hosts
            find and end the transactions of a dead host of the same database by this form of the name.

        operation_timeout: How long one operation may take, all retries included; ``None`` for no limit (migrations).

        selection_timeout: How long to look for a primary where there is no operation timeout, which else holds for
            that too.

        retry_timeout: How long idempotent methods are retried, with jittered pauses, while no primary answers; the
            guarantees list the methods that are not. ``NO_RETRIES`` fails after one operation timeout: hosts use it,
            since they retry in their own loops.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        *,
        app_name: str | None = None,
        operation_timeout: timedelta | None = OPERATION_TIMEOUT,
        selection_timeout: timedelta = SELECTION_TIMEOUT,
        retry_timeout: timedelta = RETRY_TIMEOUT,
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
        self.orphans = OrphanedTransactions(self._client, name)
        """The transactions that dead hosts of this database have left open."""
        self.retry_timeout = retry_timeout

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
        on the server and leaves no locks. One that others keep from its documents for two seconds ends what dead hosts
        have left open, which would keep it from them for a minute.

        What comes after an unknown outcome is left to the caller: where running *body* twice is harmless, ``retry``
        goes on.

        Args:
            body: Gets the session, which it must pass as ``session=`` to every call.

        Raises:
            DatabaseUnavailableError: No primary answered in time; whether the writes happened is unknown.
        """
        refusals = Refusals(self.orphans)

        async def counted(session: Session) -> T:
            try:
                return await body(session)
            except PyMongoError as exc:
                if is_write_conflict(exc):
                    await refusals.count()
                raise

        return await in_transaction(self._client, counted, self.operation_timeout)

    async def joined(self, body: Callable[[Session], Coroutine[Any, Any, T]], session: Session | None) -> T:
        """Run *body* in the caller's transaction, or in one of its own.

        Args:
            body: Gets the session, which it must pass as ``session=`` to every call.
            session: The caller's transaction, which is then neither committed nor retried here.
        """
        # A caller's transaction is retried as a whole by the caller, who alone knows all that is in it.
        return await (self.transaction(body) if session is None else body(session))

    async def retry(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what *call* gives, and call it again while no primary answers, for the retry timeout.

        Args:
            call: Calls appdb; calling it twice must be harmless, since the first may have happened.

        Raises:
            DatabaseUnavailableError: There was no primary for all that time; the outcome of the last call is unknown.
        """
        return await retry(call, self.retry_timeout)

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

    @translates_errors
    async def _command(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self._raw.command(name)
        return answer
