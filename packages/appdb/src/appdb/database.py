"""The database that hosts open: a connection whose server and contract are checked before it is used."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any, Self

from appdb._driver import translates_errors, unfit, unfitness
from appdb._version import __version__
from appdb.errors import (
    ContractMismatchError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    MigrationError,
    UnfitServerError,
)
from appdb.migrations.contract import CONTRACT_VERSION
from appdb.mixins.config import ConfigMixin
from appdb.mixins.migrations import MigrationsMixin
from appdb.mixins.option_history import HistoryMixin
from appdb.mixins.recovery import RecoveryMixin

logger = logging.getLogger(__name__)

OLDEST_SERVER = (6, 0)


class Database(ConfigMixin, HistoryMixin, MigrationsMixin, RecoveryMixin):
    """
    One MongoDB database, shared by every host; a ``Connection``, whose arguments it takes.

    Open one per process, with ``async with Database(...)`` or ``open`` and ``close``.
    """

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
        # Hosts on a wrong server look healthy: the log says which one it is, without user and password.
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

    async def check_server(self) -> None:
        """Check that the server can hold the promises.

        Raises:
            DatabaseUnavailableError: No primary answered in time.
            UnfitServerError: The server is standalone, of a set with another name, or too old.
        """
        try:
            hello = await self._hello()
        except DatabaseUnavailableError as exc:
            # Drivers wait for a primary that cannot come from a standalone server or a set of another name.
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
        # A range, so that hosts of two releases work side by side while they are replaced (decision 0012).
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
            # A user of one database alone may not ask.
            return None
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

    async def _server_version(self) -> tuple[int, ...]:
        info = await self._command("buildInfo")
        return tuple(info["versionArray"][:3])
