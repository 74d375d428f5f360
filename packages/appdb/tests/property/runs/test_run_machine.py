"""A state machine over runs: after any steps in any order, the database agrees with the model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appdb import AppDbError, Database
from appdb.models import Run
from appdb.runs import lines, reader
from appsupport.mongo.shared_database import empty, migrated_database
from appsupport.runs.run_checks import check_cache, check_lawful
from appsupport.runs.run_model import RunModel
from appsupport.runs.run_repositories import OWNER, Runs
from appsupport.runs.run_steps import ANY_STEP, Step, possible

EXAMPLES = 30


async def stored(step: Step, runs: Runs, run: Run) -> bool:
    """Do *step* to the stored run, and return whether it was possible."""
    try:
        await step.on_store(runs, await runs.get(run))
    except AppDbError:
        return False
    return True


async def play(database: Database, history: list[Step]) -> None:
    runs, model = Runs(database), RunModel()
    run = await runs.begin()
    for step in history:
        assert await stored(step, runs, run) is possible(step, model)
        await agree(runs, run, model)
    await empty(database)


async def agree(runs: Runs, run: Run, model: RunModel) -> None:
    now, state, log = await runs.get(run), await runs.state(run), await runs.log(run)
    assert [(entry.seq, entry.type, entry.step, entry.module) for entry in log] == [
        (entry.seq, entry.type, entry.step, entry.module) for entry in model.log
    ]
    counting = await runs.events.read(run.id, owner_id=OWNER, limit=10_000)
    assert [entry.seq for entry in counting] == [entry.seq for entry in model.counting]
    expected = model.state
    assert (state.position, state.steps_completed, state.modules_completed) == (
        expected.position,
        expected.steps_completed,
        expected.modules_completed,
    )
    assert (state.step_outputs(), state.values()) == (expected.step_outputs(), expected.values())
    assert (state.seq, state.stable_seq, state.last_type) == (expected.seq, expected.stable_seq, expected.last_type)
    check_lawful(state, {entry.seq for entry in counting})
    check_cache(now, state)


@asynccontextmanager
async def opened(uri: str, name: str) -> AsyncIterator[Database]:
    async with Database(uri, name) as database:
        yield database


@pytest.mark.timeout(900)
@pytest.mark.parametrize("snapshot_every", [3, 200])
def test_stored_run_agrees_with_model(mongo_uri: str, snapshot_every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SNAPSHOT_EVERY", snapshot_every)
    for module in (reader, lines):
        monkeypatch.setattr(module, "PAGE_EVENTS", snapshot_every)
    with migrated_database(mongo_uri) as name, asyncio.Runner() as runner:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(st.lists(ANY_STEP, min_size=5, max_size=15))
        def machine(history: list[Step]) -> None:
            async def once() -> None:
                async with opened(mongo_uri, name) as database:
                    await play(database, history)

            runner.run(once())

        machine()
