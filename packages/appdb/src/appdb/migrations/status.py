"""The migration status of a database: applied and pending migrations, the one in progress, and problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from appdb.migrations._module import Migration, number_of
from appdb.migrations.contract import Contract
from appdb.migrations.records import LockHolder, MigrationInProgress


class MigrationState(StrEnum):
    """The state of one migration."""

    APPLIED = "applied"
    PENDING = "pending"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """A run of it, up or down, was killed or failed; the next one goes on from there."""
    CHANGED = "changed"
    """Its source is not the one that ran here."""
    UNKNOWN = "unknown"
    """Another release, mostly a newer one, has applied it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """One migration and its state.

    Args:
        id: Its name.
        description: What it does.
        state: Where it is.
        applied_at: When it was applied.
    """

    id: str
    description: str
    state: MigrationState
    applied_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The migration status of a database.

    Args:
        contract: Which contracts may work with it; ``None`` when it was never migrated.
        expected: Which ones should, after the migrations that it has.
        migrations: Known and unknown ones, in order.
        running: The one under way, or interrupted.
        lock: Who migrates, or was killed while migrating.
    """

    contract: Contract | None
    expected: Contract | None
    migrations: tuple[MigrationStatus, ...]
    running: MigrationInProgress | None
    lock: LockHolder | None

    def of(self, *states: MigrationState) -> list[MigrationStatus]:
        """Return the migrations that are in one of *states*."""
        return [migration for migration in self.migrations if migration.state in states]

    @property
    def pending(self) -> list[str]:
        """The names of what ``migrate`` would run."""
        open_states = (MigrationState.PENDING, MigrationState.RUNNING, MigrationState.INTERRUPTED)
        return [migration.id for migration in self.of(*open_states)]

    def faults(self) -> list[str]:
        """Return what must be mended before anything can be migrated, each with what to do."""
        return [*self._changed(), *self._gaps()]

    def problems(self) -> list[str]:
        """Return all that is wrong, each with what to do; migrations that were not run yet are no problem."""
        return [*self.faults(), *self._unknown(), *self._unfinished(), *self._misstated()]

    def _changed(self) -> Iterator[str]:
        for migration in self.of(MigrationState.CHANGED):
            yield (
                f"migration {migration.id} was changed after it ran here on {migration.applied_at:%Y-%m-%d}; "
                "install the release that matches, and put the change into a new migration"
            )

    def _gaps(self) -> Iterator[str]:
        last = max((number_of(row.id) for row in self.migrations if row.applied_at is not None), default=0)
        for migration in self.of(MigrationState.PENDING):
            if number_of(migration.id) < last:
                yield (
                    f"migration {migration.id} was never run here, and a later one was; "
                    "install the release that applied the later one, and migrate with that"
                )

    def _unknown(self) -> Iterator[str]:
        for migration in self.of(MigrationState.UNKNOWN):
            yield f"migration {migration.id} was applied by another release; upgrade this host's package"

    def _unfinished(self) -> Iterator[str]:
        for migration in self.of(MigrationState.INTERRUPTED):
            yield f"migration {migration.id} was interrupted; run `appdb migrate` to go on where it stopped"

    def _misstated(self) -> Iterator[str]:
        if self.contract != self.expected and not self.of(MigrationState.UNKNOWN, *UNSETTLED):
            yield f"the contract is stated as {self.contract}, and should be {self.expected}; run `appdb migrate`"


UNSETTLED = (MigrationState.RUNNING, MigrationState.INTERRUPTED)


def overview(known: Sequence[Migration], stored: StoredMigrations) -> Overview:
    """Compare the migrations of this release with what is stored.

    Args:
        known: All that this release ships, in order.
        stored: What the database says.
    """
    running, lock = stored.running, stored.lock
    states = [_known_status(migration, stored) for migration in known]
    names = {migration.id for migration in known}
    states += [
        MigrationStatus(
            id=name,
            description=row["description"],
            applied_at=row["applied_at"],
            state=MigrationState.UNKNOWN,
        )
        for name, row in stored.applied.items()
        if name not in names
    ]
    applied = [migration for migration in known if migration.id in stored.applied]
    return Overview(
        contract=stored.contract,
        expected=applied[-1].contract if applied else None,
        migrations=tuple(sorted(states, key=lambda status: status.id)),
        running=running,
        lock=lock,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMigrations:
    """The stored record of a database's migrations.

    Args:
        applied: The rows of applied migrations, by name.
        running: The one under way, or interrupted.
        lock: Who migrates, or was killed while migrating.
        contract: Which contracts may work with it.
    """

    applied: Mapping[str, Mapping[str, Any]]
    running: MigrationInProgress | None
    lock: LockHolder | None
    contract: Contract | None


def _known_status(migration: Migration, stored: StoredMigrations) -> MigrationStatus:
    row = stored.applied.get(migration.id)
    status = MigrationStatus(id=migration.id, description=migration.description, state=MigrationState.PENDING)
    if row is not None:
        changed = row["checksum"] != migration.checksum
        state = MigrationState.CHANGED if changed else MigrationState.APPLIED
        status = replace(status, state=state, applied_at=row["applied_at"])
    # A changed source is told as such, also while a run of it is open.
    if stored.running is None or stored.running.migration_id != migration.id or status.state is MigrationState.CHANGED:
        return status
    alive = stored.lock is not None and stored.lock.alive
    return replace(status, state=MigrationState.RUNNING if alive else MigrationState.INTERRUPTED)
