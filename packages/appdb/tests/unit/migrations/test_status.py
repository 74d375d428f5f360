"""Status of a database's migrations, told from the stored records."""

from __future__ import annotations

import types
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appdb.migrations._module import known_migrations, loaded, number_of
from appdb.migrations.contract import CONTRACT_VERSION, Contract
from appdb.migrations.records import LockHolder, MigrationInProgress
from appdb.migrations.status import MigrationState, StoredMigrations, overview

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KNOWN = known_migrations()

FIRST_THREE = KNOWN[:3]


def row(checksum: str) -> dict[str, Any]:
    return {"description": "d", "checksum": checksum, "applied_at": NOW}


def stored(applied: int = len(KNOWN), **changes: Any) -> StoredMigrations:
    rows = {migration.id: row(migration.checksum) for migration in KNOWN[:applied]}
    fields: dict[str, Any] = {
        "applied": rows,
        "running": None,
        "lock": None,
        "contract": KNOWN[applied - 1].contract if applied else None,
    }
    return StoredMigrations(**(fields | changes))


def running(index: int) -> MigrationInProgress:
    return MigrationInProgress(migration_id=KNOWN[index].id, direction="up", started_at=NOW, updated_at=NOW)


def lock(*, alive: bool) -> LockHolder:
    return LockHolder(by="host", since=NOW, expires_at=NOW + timedelta(seconds=1), alive=alive)


def test_whole_database_has_no_problem() -> None:
    found = overview(KNOWN, stored())

    assert (found.problems(), found.pending) == ([], [])
    assert {migration.state for migration in found.migrations} == {MigrationState.APPLIED}


def test_migration_not_run_is_pending() -> None:
    found = overview(KNOWN, stored(applied=0))

    assert found.pending == [migration.id for migration in KNOWN]
    assert (found.problems(), found.expected) == ([], None)


def test_migration_runs_while_lock_lives_then_interrupted() -> None:
    alive = overview(FIRST_THREE, stored(2, running=running(2), lock=lock(alive=True)))
    dead = overview(FIRST_THREE, stored(2, running=running(2), lock=lock(alive=False)))
    gone = overview(FIRST_THREE, stored(2, running=running(2)))

    assert (alive.migrations[2].state, alive.problems()) == (MigrationState.RUNNING, [])
    assert [found.migrations[2].state for found in (dead, gone)] == [MigrationState.INTERRUPTED] * 2
    assert "interrupted" in dead.problems()[0]
    assert dead.pending == alive.pending == [KNOWN[2].id]


def test_migration_being_undone_is_pending() -> None:
    assert overview(FIRST_THREE, stored(3, running=running(2))).pending == [KNOWN[2].id]


def test_changed_missing_and_unknown_migrations_are_told() -> None:
    rows = {KNOWN[0].id: row("other"), KNOWN[2].id: row(KNOWN[2].checksum), "m0999_pre_x": row("x")}
    found = overview(FIRST_THREE, StoredMigrations(applied=rows, running=None, lock=None, contract=None))

    assert [migration.state for migration in found.migrations] == ["changed", "pending", "applied", "unknown"]
    assert len(found.faults()) == 2
    assert len(found.problems()) == 3
    assert f"{KNOWN[0].id} was changed" in found.problems()[0]
    assert f"{KNOWN[1].id} was never run here" in found.problems()[1]
    assert "m0999_pre_x was applied by another release" in found.problems()[2]


def test_contract_differing_from_migrations_is_told() -> None:
    (problem,) = overview(KNOWN, stored(contract=Contract(newest=1, oldest=1))).problems()

    assert "the contract is stated as" in problem


def test_older_releases_lock_is_told_without_holder() -> None:
    held = LockHolder.from_document({"_id": "migrations", "holder": "mig_1", "expires_at": NOW}, NOW)

    assert (str(held), held.alive) == ("a host of an older release", False)


def test_migrations_are_numbered_up_to_contract() -> None:
    assert [migration.number for migration in KNOWN] == list(range(1, len(KNOWN) + 1))
    assert KNOWN[-1].contract.newest == CONTRACT_VERSION
    assert all(migration.contract.oldest <= migration.contract.newest for migration in KNOWN)
    assert all((migration.down is None) == bool(migration.irreversible) for migration in KNOWN)
    assert number_of("running") == 0


def test_migration_tells_undo_or_why_not() -> None:
    module = types.ModuleType("m0009_pre_x", "Do.")
    with pytest.raises(TypeError, match="m0009_pre_x: give it a down"):
        loaded(module)
