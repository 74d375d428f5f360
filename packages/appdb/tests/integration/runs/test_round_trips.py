"""Round trips of runs: a state costs two, however long the run is, and an append three."""

from __future__ import annotations

from typing import Any

import pytest

from appdb import Database, DbEventType
from appdb.models import NewRunEvent, Run
from appsupport.mongo.round_trips import commands_sent
from appsupport.runs.run_events import answered, asked, completed, event, started, step_started
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


def turns(count: int) -> list[NewRunEvent]:
    """Return *count* events of two modules that run over and over."""
    turn = [started("loop", "a"), completed("loop", "a", {"text": "a"}), started("loop", "b"), completed("loop", "b")]
    return [NewRunEvent(type=new.type, step=new.step, module=new.module, data=new.data) for new in turn * (count // 4)]


async def long_run(runs: Runs, count: int = 1_000) -> Run:
    run = await runs.begin()
    for _ in range(count // 500):
        await runs.append(run, *turns(500))
    return run


async def test_state_costs_two_round_trips(runs: Runs) -> None:
    run = await long_run(runs)
    await runs.state(run)
    await runs.append(run, *turns(180))
    for _ in range(2):
        with commands_sent() as sent:
            view = await runs.states.read(run.id, owner_id=OWNER)
        assert sent == ["aggregate", "find"]
    with commands_sent() as sent:
        state = await runs.states.at(run.id, 1_100, owner_id=OWNER)

    assert sent == ["aggregate", "find"]
    assert (view.run.event_count, view.state.seq, state.seq) == (1_181, 1_180, 1_100)


async def test_state_of_short_run_costs_two_round_trips(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *turns(100), *turns(80))
    with commands_sent() as sent:
        await runs.states.read(run.id, owner_id=OWNER)

    assert sent == ["aggregate", "find"]


async def test_append_costs_three_round_trips(runs: Runs) -> None:
    run = await runs.begin()
    with commands_sent() as sent:
        await runs.events.append(run.id, [step_started("a")], owner_id=OWNER, branch_id=run.branch_id)

    assert sent == ["findAndModify", "insert", "commitTransaction"]


async def test_answer_in_transaction_reads_nothing(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, asked("a", "m", "f1"))
    events = [answered("f1", value=1), event(E.OUTPUT_STORED)]

    async def body(session: Any) -> list[Any]:
        return list(
            await runs.events.append(
                run.id, events, owner_id=OWNER, branch_id=run.branch_id, expected_seq=2, session=session
            )
        )

    with commands_sent() as sent:
        stored = await runs.database.transaction(body)

    assert sent == ["findAndModify", "insert", "commitTransaction"]
    assert await runs.database.transaction(body) == stored
