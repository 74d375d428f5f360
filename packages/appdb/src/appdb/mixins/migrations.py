"""Migrations: numbered modules run once each, in order, by one host at a time, resumed where a killed run stopped."""

from __future__ import annotations

from appdb._driver import translates_errors
from appdb._schema.difference import IndexDifference
from appdb.connection import Connection
from appdb.migrations._indexes import index_differences
from appdb.migrations._migrator import Migrator, read_contract, refuse
from appdb.migrations._module import Migration, known_migrations
from appdb.migrations.contract import Contract
from appdb.migrations.options import RunOptions
from appdb.migrations.records import Effect
from appdb.migrations.status import Overview


class MigrationsMixin(Connection):
    """The part of ``Database`` that brings a database to this release's contract."""

    @translates_errors
    async def contract(self) -> Contract | None:
        """Return which contracts may work with the database, or ``None`` before the first migration."""
        return await read_contract(self)

    @translates_errors
    async def contract_version(self) -> int | None:
        """Return the database's contract version, or ``None`` before the first migration."""
        found = await read_contract(self)
        return None if found is None else found.newest

    @translates_errors
    async def pending_migrations(self) -> list[Migration]:
        """Return what ``migrate`` would run, in order.

        Raises:
            MigrationError: A migration was changed after it had run here, or left out.
        """
        found = await self._migrator().overview()
        refuse(found.faults())
        return [migration for migration in known_migrations() if migration.id in found.pending]

    @translates_errors
    async def migrate(self, options: RunOptions | None = None) -> list[Migration]:
        """Run what is pending, under a lock that a killed run gives up when its lease ends, and return what was run.

        Hosts of the contracts that the database allows go on working meanwhile. A run that was killed is gone on with
        by the next one: finished steps are not repeated, and back-fills start at the last batch. A step may take as
        long as the server needs, so open the ``Database`` with ``operation_timeout=None`` for one that holds much.

        Args:
            options: How; by default, it is refused at once while another host migrates.

        Raises:
            MigrationError: Another host is migrating, or a migration was changed after it ran.
        """
        return await self._migrator(options).up()

    @translates_errors
    async def migrate_down(self, *, to: int, options: RunOptions | None = None) -> list[Migration]:
        """Undo the migrations above the number *to*, the newest first, and return them.

        Stop the hosts that need them before; they do not start again on the database.

        Args:
            to: The number of the last one that stays.
            options: How; see ``migrate``.

        Raises:
            MigrationError: One of them cannot be undone, and nothing was done; or another host is migrating.
        """
        return await self._migrator(options).down(to)

    @translates_errors
    async def plan_migrations(self, *, down_to: int | None = None) -> list[tuple[Migration, list[Effect]]]:
        """Return what would be run and what that would do, and change nothing.

        Args:
            down_to: Plan ``migrate_down`` to this number; ``None`` for ``migrate``.

        Raises:
            MigrationError: It would be refused.
        """
        migrator = self._migrator()
        return await migrator.plan_up() if down_to is None else await migrator.plan_down(down_to)

    @translates_errors
    async def migration_overview(self) -> Overview:
        """Return how the database stands: applied, pending, running and unknown migrations, and what is wrong."""
        return await self._migrator().overview()

    @translates_errors
    async def index_differences(self) -> list[IndexDifference]:
        """Return which indexes of appdb's collections are missing, in another form or name than declared, or extra."""
        return await index_differences(self)

    @translates_errors
    async def mend_indexes(self, options: RunOptions | None = None) -> list[IndexDifference]:
        """Create missing indexes, build those again that differ, and return what was mended; extra ones stay.

        One with declared keys under another name is built again under its own.

        While an index is built again, what it serves is slow, and what it keeps unique is not kept.

        Args:
            options: How; see ``migrate``.

        Raises:
            MigrationError: A newer release has migrated the database, or another host is migrating.
        """
        return await self._migrator(options).mend()

    def _migrator(self, options: RunOptions | None = None) -> Migrator:
        return Migrator(self, known_migrations(), options or RunOptions())
