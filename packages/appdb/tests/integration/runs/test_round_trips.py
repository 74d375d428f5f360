"""Round trips of runs: a state costs one, however long the run is, and an append three."""

from __future__ import annotations

from typing import Any

import pytest

from appdb import Database, DbEventType
from appdb.models import NewRunEvent, Run
from appsupport.mongo.round_trips import commands_sent
from appsupport.runs.run_events import answered, asked, completed, event, started, step_started, two_steps
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


async def test_state_costs_one_round_trip(runs: Runs) -> None:
    run = await long_run(runs)
    await runs.state(run)
    await runs.append(run, *turns(180))
    for _ in range(2):
        with commands_sent() as sent:
            view = await runs.states.read(run.id, owner_id=OWNER)
        assert sent == ["aggregate"]
    with commands_sent() as sent:
        state = await runs.states.at(run.id, 1_100, owner_id=OWNER)
    assert sent == ["aggregate"]
    with commands_sent() as sent:
        before = await runs.states.read_at(run.id, 1_100, owner_id=OWNER)

    assert sent == ["aggregate"]
    assert (view.run.event_count, view.state.seq, state.seq) == (1_181, 1_180, 1_100)
    assert (before.run, before.state) == (view.run, state)


async def test_state_of_short_run_costs_one_round_trip(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *turns(100), *turns(80))
    with commands_sent() as sent:
        await runs.states.read(run.id, owner_id=OWNER)

    assert sent == ["aggregate"]


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


@pytest.mark.parametrize(("go_back", "most"), [("jump", 9), ("branch", 7), ("fork", 7), ("switch", 8), ("reset", 4)])
async def test_fork_in_transaction_costs_few_round_trips(runs: Runs, go_back: str, most: int) -> None:
    run = await runs.begin()
    await runs.append(run, *two_steps())
    left, current = run.branch_id, await runs.branches.current(run.id, owner_id=OWNER)
    if go_back == "switch":
        current = await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=left)

    async def body(session: Any) -> None:
        at: dict[str, Any] = {"owner_id": OWNER, "branch_id": current.id, "session": session}
        calls = {
            "jump": lambda: runs.states.jump(run.id, "write", "choose", **at),
            "branch": lambda: runs.states.branch_from_interaction(run.id, "select_1", **at),
            "fork": lambda: runs.branches.fork(run.id, 3, event(E.OUTPUT_STORED), **at),
            "switch": lambda: runs.branches.switch(run.id, left, **at),
            "reset": lambda: runs.workflows.reset(run.id, **at),
        }
        await calls[go_back]()

    with commands_sent() as sent:
        await runs.database.transaction(body)

    assert sent.pop() == "commitTransaction"
    assert len(sent) <= most, sent
