"""A migration that is killed after any of its writes is finished by the next run, as if nothing had happened."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from appdb import Database, MigrationError
from appdb.migrations.contract import CONTRACT_VERSION
from appdb.migrations.options import RunOptions, Waiting
from appdb.migrations.status import MigrationState
from appsupport.cli.appdb_command import CommandLine
from appsupport.migrations.earlier_releases import ROOT, all_indexes, restore
from appsupport.migrations.trial_migration import BEFORE, COLLECTION, INDEX, migrator, write_notes

PROCESS = Path(__file__).with_name("killed_process.py")
WAIT_FOR_LOCK = RunOptions(waiting=Waiting(longest=timedelta(seconds=60), lease=timedelta(seconds=1)))
SHORT = ("--lock-lease", "500ms")
EDGE = 8
"""Writes at the beginning and at the end that are each a kind of their own."""
pytestmark = pytest.mark.timeout(600)


async def died_after(point: int, *words: str) -> str | None:
    """Migrate in a process that dies after *point* writes, and return what it said if it did not get that far."""
    paths = [str(ROOT / "tests/support"), os.environ.get("PYTHONPATH", "")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROCESS),
        str(point),
        *words,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    async with asyncio.timeout(120):
        said, complaint = await process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), complaint.decode()
    return said.decode() if process.returncode == 0 else None


async def points_of(*words: str) -> list[int]:
    """Run to the end, and return after which writes to kill: all at both ends, of those alike between every third."""
    said = await died_after(0, *words)
    assert said is not None
    total = int(said.splitlines()[-1])
    return [point for point in range(1, total + 1) if min(point, total - point) < EDGE or point % 3 == 0]


async def test_killed_run_up_is_finished_by_next(empty: Database, mongo_uri: str) -> None:
    await restore(empty, "0.2")
    up = ("command", "--uri", mongo_uri, "--database", empty.name, "migrate", "up", *SHORT)
    points = await points_of(*up)
    whole = await all_indexes(empty)
    for point in points:
        await empty.migrate_down(to=2, options=WAIT_FOR_LOCK)
        assert await died_after(point, *up) is None
        await empty.migrate(WAIT_FOR_LOCK)

        assert (await empty.migration_overview()).problems() == []
        assert await empty.pending_migrations() == []
        assert await empty.contract_version() == CONTRACT_VERSION
        assert await all_indexes(empty) == whole

    assert len(points) > EDGE


async def test_killed_run_down_is_finished_or_undone(empty: Database, mongo_uri: str) -> None:
    down = ("command", "--uri", mongo_uri, "--database", empty.name, "migrate", "down", "--to", "2", *SHORT)
    await empty.migrate()
    whole = await all_indexes(empty)
    points = await points_of(*down)
    before = await all_indexes(empty)
    for point in points:
        await empty.migrate(WAIT_FOR_LOCK)
        assert await all_indexes(empty) == whole
        assert await died_after(point, *down) is None
        if point % 2:
            await empty.migrate_down(to=2, options=WAIT_FOR_LOCK)
            assert await all_indexes(empty) == before
            assert await empty.contract_version() == 2

    assert len(points) > 5


async def test_killed_back_fill_touches_each_document_once(empty: Database, mongo_uri: str) -> None:
    trial = ("trial", mongo_uri, empty.name)
    await empty.migrate()
    await write_notes(empty, 35)
    points = await points_of(*trial)
    for point in points:
        await migrator(empty, WAIT_FOR_LOCK).down(BEFORE)
        assert await empty.collection(COLLECTION).count_documents({"label": {"$exists": True}}) == 0
        assert await died_after(point, *trial) is None
        await migrator(empty, WAIT_FOR_LOCK).up()
        notes = [row async for row in empty.collection(COLLECTION).find()]

        assert len(notes) == 35
        assert {row["filled"] for row in notes} == {1}
        assert all(row["label"] == f"label of {row['_id']}" for row in notes)
        assert INDEX.name in await empty.collection(COLLECTION).index_information()

    assert len(points) > EDGE


async def test_lock_of_killed_run_is_told_and_expires(empty: Database, mongo_uri: str, command: CommandLine) -> None:
    await restore(empty, "0.2")
    options = ["--uri", mongo_uri, "--database", empty.name, "migrate", "up", "--lock-lease", "5s"]
    assert await died_after(4, "command", *options) is None
    refused = await command("migrate", "up", "--wait", "0s")
    running = await command("migrate", "status")
    waited = await command("migrate", "up", "--wait", "60s")

    assert refused.code == 1
    assert "another host is migrating" in refused.err
    assert "its lock ends at" in refused.err
    assert "running" in running.out
    assert "indexes: 0 of" in running.out
    assert waited.code == 0
    assert "waiting for another host" in waited.err
    assert "up to date" in waited.out


async def test_validate_tells_what_killed_run_left(empty: Database, mongo_uri: str, command: CommandLine) -> None:
    await restore(empty, "0.2")
    up = ("command", "--uri", mongo_uri, "--database", empty.name, "migrate", "up", *SHORT)
    assert await died_after(4, *up) is None
    async with asyncio.timeout(60):
        while (await empty.migration_overview()).of(MigrationState.RUNNING):
            await asyncio.sleep(0.1)
    status, validated = await command("migrate", "status"), await command("migrate", "validate")

    assert "interrupted" in status.out
    assert (validated.code, "run `appdb migrate` to go on" in validated.out) == (1, True)


async def test_silent_run_stops_after_takeover(empty: Database) -> None:
    await empty.migrate()
    await write_notes(empty, 100)
    reached = asyncio.Event()

    async def first() -> None:
        slow = RunOptions(
            waiting=Waiting(lease=timedelta(seconds=0.4)),
            report=lambda _name, _step: reached.set(),
        )
        await migrator(empty, slow).up()

    running = asyncio.create_task(first())
    await reached.wait()
    # Another host takes over, as it may once the lease has ended.
    await empty.collection("config").update_one({"_id": "migrations"}, {"$set": {"holder": "mig_other"}})
    await empty.collection("migrations").update_one({"_id": "running"}, {"$set": {"holder": "mig_other"}})
    with pytest.raises(MigrationError, match="another host has taken over"):
        await running

    assert await empty.collection("migrations").find_one({"_id": "m9000_pre_trial"}) is None
