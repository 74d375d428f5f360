"""The migrator: runs migrations up and down under the lock, and records their progress in the database."""

from __future__ import annotations

from collections.abc import Sequence

from appdb._driver import AFTER
from appdb._queries import config as config_queries
from appdb._queries import migrations as queries
from appdb._schema import collections
from appdb._schema.difference import IndexDifference
from appdb.connection import Connection
from appdb.errors import MigrationError
from appdb.migrations._indexes import mend_indexes
from appdb.migrations._lock import MigrationLock, lost
from appdb.migrations._module import Migration
from appdb.migrations._steps import PlannedSteps, RecordedSteps
from appdb.migrations.contract import Contract
from appdb.migrations.options import RunOptions
from appdb.migrations.records import Effect, LockHolder, MigrationInProgress, StepProgress, fields_of
from appdb.migrations.status import MigrationState, Overview, StoredMigrations, overview


class Migrator:
    """
    The runner of one database's migrations.

    Args:
        connection: Where.

        known: All migrations that there are, in order.

        options: How.
    """

    def __init__(self, connection: Connection, known: Sequence[Migration], options: RunOptions) -> None:
        self._connection = connection
        self._known = known
        self._options = options
        self._applied = connection.collection(collections.MIGRATIONS)
        self._config = connection.collection(collections.CONFIG)

    async def overview(self) -> Overview:
        """Return how the database stands."""
        rows = {row["_id"]: row async for row in self._applied.find()}
        running = rows.pop(queries.RUNNING_ID, None)
        lock = await self._config.find_one({"_id": config_queries.LOCK_ID})
        now = await self._connection.server_time()
        stored = StoredMigrations(
            applied=rows,
            running=None if running is None else MigrationInProgress.from_document(running),
            lock=None if lock is None else LockHolder.from_document(lock, now),
            contract=await read_contract(self._connection),
        )
        return overview(self._known, stored)

    async def up(self) -> list[Migration]:
        """Run what is pending, and return it; nothing is written, and no lock taken, when nothing is to be done."""
        found = await self.overview()
        refuse(found.faults())
        if not found.pending and found.contract == found.expected:
            return []
        if not found.pending and found.of(MigrationState.UNKNOWN):
            # A newer release has migrated, and says itself who may work with it (decision 0012).
            return []
        return await MigrationLock(self._connection, self._options.waiting).run(self._up)

    async def down(self, to: int) -> list[Migration]:
        """Undo what has a number above *to*, the newest first, and return it."""
        self.undone(await self.overview(), to)
        return await MigrationLock(self._connection, self._options.waiting).run(lambda holder: self._down(holder, to))

    async def mend(self) -> list[IndexDifference]:
        """Create missing indexes, build again those that differ, and return both."""
        found = await self.overview()
        refuse([f"{row.id} was applied by another release; use that one" for row in found.of(MigrationState.UNKNOWN)])
        lock = MigrationLock(self._connection, self._options.waiting)
        return await lock.run(lambda _: mend_indexes(self._connection))

    async def plan_up(self) -> list[tuple[Migration, list[Effect]]]:
        """Return what ``up`` would run, each with what it would do that those before have not done."""
        found = await self.overview()
        refuse(found.faults())
        plans: list[tuple[Migration, list[Effect]]] = []
        for migration in self._named(found.pending):
            steps = PlannedSteps(self._connection)
            await migration.plan(self._connection, steps)
            # A dry run changes nothing, so a later migration's plan would show again what an earlier one makes.
            before = {effect for _, effects in plans for effect in effects}
            plans.append((migration, [effect for effect in steps.effects if effect not in before]))
        return plans

    async def plan_down(self, to: int) -> list[tuple[Migration, list[Effect]]]:
        """Return what ``down`` would undo, each with what it would do."""
        plans = []
        for migration in self.undone(await self.overview(), to):
            steps = PlannedSteps(self._connection)
            if migration.down is not None:
                await migration.down(self._connection, steps)
            plans.append((migration, steps.effects))
        return plans

    def undone(self, found: Overview, to: int) -> list[Migration]:
        """Return what ``down`` has to undo, the newest first.

        Raises:
            MigrationError: One of them cannot be undone, or the database does not fit this release.
        """
        foreign = found.of(MigrationState.UNKNOWN)
        refuse(found.faults())
        refuse([f"{row.id} was applied by another release; undo it with that one" for row in foreign])
        there = {row.id for row in found.migrations if row.state is not MigrationState.PENDING}
        undone = [migration for migration in reversed(self._known) if migration.number > to and migration.id in there]
        for migration in undone:
            if migration.down is None:
                raise MigrationError(
                    f"migration {migration.id} cannot be undone: {migration.irreversible}. Nothing was done; go no "
                    f"further down than --to {migration.number:04}, or restore a backup."
                )
        return undone

    def _named(self, names: Sequence[str]) -> list[Migration]:
        return [migration for migration in self._known if migration.id in names]

    async def _up(self, holder: str) -> list[Migration]:
        found = await self.overview()
        refuse(found.faults())
        pending = self._named(found.pending)
        for migration in pending:
            steps = await self._begin(migration, "up", holder)
            await migration.up(self._connection, steps)
            await self._settle(migration, migration.contract, holder)
        # A stated contract that disagrees with what was applied is mended here; `Overview.problems` tells of it.
        if not pending and found.expected is not None and not found.of(MigrationState.UNKNOWN):
            await self._state(found.expected)
        return pending

    async def _down(self, holder: str, to: int) -> list[Migration]:
        undone = self.undone(await self.overview(), to)
        for migration in undone:
            steps = await self._begin(migration, "down", holder)
            # First, so that hosts which need what goes away do not start any more.
            await self._unsettle(migration, holder)
            if migration.down is not None:
                await migration.down(self._connection, steps)
            await self._applied.delete_one(queries.under_way(holder))
        return undone

    async def _settle(self, migration: Migration, contract: Contract, holder: str) -> None:
        # In an order in which a kill leaves nothing worse than a migration whose every step is finished. In one
        # transaction they would keep the next run waiting until the server gives up a killed one's.
        await self._fence(holder)
        await self._state(contract)
        row = queries.record_applied(migration.description, migration.checksum)
        await self._applied.update_one({"_id": migration.id}, row, upsert=True)
        await self._applied.delete_one(queries.under_way(holder))

    async def _unsettle(self, migration: Migration, holder: str) -> None:
        await self._fence(holder)
        await self._state(self._contract_before(migration))
        await self._applied.delete_one({"_id": migration.id})

    async def _fence(self, holder: str) -> None:
        held = await self._applied.update_one(queries.under_way(holder), queries.touch())
        if not held.matched_count:
            raise lost()

    def _contract_before(self, migration: Migration) -> Contract | None:
        earlier = [known for known in self._known if known.number < migration.number]
        return earlier[-1].contract if earlier else None

    async def _begin(self, migration: Migration, direction: str, holder: str) -> RecordedSteps:
        row = await self._applied.find_one_and_update(
            {"_id": queries.RUNNING_ID},
            queries.begin(migration.id, direction, holder),
            upsert=True,
            return_document=AFTER,
        )

        async def record(step: StepProgress) -> None:
            written = await self._applied.update_one(
                queries.under_way(holder), queries.step(step.name, fields_of(step))
            )
            if not written.matched_count:
                raise lost()
            self._options.report(migration.id, step)

        return RecordedSteps(self._connection, MigrationInProgress.from_document(row).steps, record, self._options.pace)

    async def _state(self, contract: Contract | None) -> None:
        if contract is None:
            await self._config.delete_one({"_id": config_queries.CONTRACT_ID})
            return
        stated = config_queries.contract(contract.newest, contract.oldest)
        await self._config.update_one({"_id": config_queries.CONTRACT_ID}, stated, upsert=True)


def refuse(faults: Sequence[str]) -> None:
    """Raise what is wrong, if anything is.

    Raises:
        MigrationError: Something is.
    """
    if faults:
        raise MigrationError("; ".join(faults))


async def read_contract(connection: Connection) -> Contract | None:
    """Return which contracts may work with *database*, or ``None`` before its first migration."""
    found = await connection.collection(collections.CONFIG).find_one({"_id": config_queries.CONTRACT_ID})
    if found is None:
        return None
    # Hosts before contract 3 read `version` alone and compare it with their own: it is the oldest (decision 0012).
    oldest = int(found["version"])
    return Contract(oldest=oldest, newest=max(oldest, int(found.get("newest", oldest))))
