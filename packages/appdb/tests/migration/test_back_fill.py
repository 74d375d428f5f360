"""Back-fills: in batches by id, at the pace that is asked for, with how far they are in the database."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from appdb import Database
from appdb.migrations._module import known_migrations
from appdb.migrations.options import BackFillPace, RunOptions
from appdb.migrations.records import Effect, StepProgress
from appdb.migrations.status import MigrationState
from appsupport.migrations.trial_migration import BEFORE, COLLECTION, TRIAL, migrator, write_notes


async def test_back_fill_shows_progress_and_resumes(empty: Database) -> None:
    await empty.migrate()
    await write_notes(empty, 100)
    halfway = asyncio.Event()

    def report(_: str, step: StepProgress) -> None:
        if step.done == 50:
            halfway.set()

    options = RunOptions(pace=BackFillPace(batch=50, pause=timedelta(minutes=10)), report=report)
    running = asyncio.create_task(migrator(empty, options).up())
    await asyncio.wait({running, asyncio.create_task(halfway.wait())}, return_when=asyncio.FIRST_COMPLETED)
    found = await migrator(empty).overview()
    running.cancel()
    await asyncio.wait({running})
    left = await migrator(empty).overview()
    told: list[StepProgress] = []
    await migrator(empty, RunOptions(report=lambda _, step: told.append(step))).up()

    assert found.running is not None
    assert str(found.running.steps[0]) == "labels: 50 of 100 documents"
    assert [row.id for row in found.of(MigrationState.RUNNING)] == [TRIAL.id]
    assert [row.id for row in left.of(MigrationState.INTERRUPTED)] == [TRIAL.id]
    assert left.lock is None
    assert (told[0].done, told[0].total) == (50, 100)
    assert await empty.collection(COLLECTION).count_documents({"filled": 1}) == 100


async def test_back_fill_pauses_after_each_batch(empty: Database) -> None:
    await empty.migrate()
    await write_notes(empty, 30)
    started = time.monotonic()
    await migrator(empty, RunOptions(pace=BackFillPace(batch=10, pause=timedelta(seconds=0.2)))).up()

    assert time.monotonic() - started >= 0.6
    assert await empty.collection(COLLECTION).count_documents({"filled": 1}) == 30


async def test_back_fill_reads_batches_by_id_index(empty: Database) -> None:
    await empty.migrate()
    await write_notes(empty, 30)
    await empty.raw.command("profile", 2)
    await migrator(empty, RunOptions(pace=BackFillPace(batch=10))).up()
    await empty.raw.command("profile", 0)
    match = {"ns": f"{empty.name}.{COLLECTION}", "op": "query"}
    seen = [row async for row in empty.collection("system.profile").find(match)]

    assert len(seen) == 4
    assert {row["planSummary"] for row in seen} == {"IXSCAN { _id: 1 }"}
    assert not any(row.get("hasSortStage") for row in seen)
    assert max(row["keysExamined"] for row in seen) <= 11


async def test_dry_run_of_back_fill_changes_nothing(empty: Database) -> None:
    await empty.migrate()
    await write_notes(empty, 7)
    before = await empty.raw.command("dbHash")
    planned = await migrator(empty).plan_up()
    after = await empty.raw.command("dbHash")
    await migrator(empty).up()
    planned_down = await migrator(empty).plan_down(BEFORE)

    assert before["md5"] == after["md5"]
    assert planned == [
        (
            TRIAL,
            [
                Effect(action="update documents", target="notes", count=7),
                Effect(action="create index", target="notes.notes_label"),
            ],
        )
    ]
    assert planned_down == [
        (
            TRIAL,
            [
                Effect(action="drop index", target="notes.notes_label"),
                Effect(action="update documents", target="notes", count=7),
            ],
        )
    ]


async def test_failed_step_is_repeated_by_next_run(empty: Database) -> None:
    await empty.migrate()
    await write_notes(empty, 3)
    await empty.raw.command("collMod", COLLECTION, validator={"label": {"$exists": False}})
    outcome = (await asyncio.gather(migrator(empty).up(), return_exceptions=True))[0]
    await empty.raw.command("collMod", COLLECTION, validator={})
    interrupted = (await migrator(empty).overview()).of(MigrationState.INTERRUPTED)
    ran = await migrator(empty).up()

    assert isinstance(outcome, Exception)
    assert [row.id for row in interrupted] == [TRIAL.id]
    assert ran == [TRIAL]
    assert await empty.contract_version() == TRIAL.contract.newest


async def test_down_undoes_only_later_migrations(empty: Database) -> None:
    await write_notes(empty, 3)
    await migrator(empty).up()
    undone = await migrator(empty).down(known_migrations()[-1].number)

    assert undone == [TRIAL]
    assert await empty.collection(COLLECTION).count_documents({"label": {"$exists": False}}) == 3
    await empty.open()
