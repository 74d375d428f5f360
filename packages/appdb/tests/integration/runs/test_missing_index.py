"""Reads of runs depend on no index by its name: a missing index makes them slow at worst."""

from __future__ import annotations

from typing import Any

import pytest

from appdb import Database, DbEventType
from appdb._schema import branches, events, snapshots, workflow_run_versions, workflow_runs
from appdb.models import EventFilter, RunStatus
from appsupport.runs.run_events import asked, completed, started, step_started, two_steps
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType
OF_RUNS = (workflow_runs, workflow_run_versions, events, branches, snapshots)
INDEXES = [index for collection in OF_RUNS for index in collection.INDEXES]


async def tell(runs: Runs) -> list[Any]:
    """Let a run go through everything that reads it, and return what was read, without ids and times."""
    run = await runs.begin()
    await runs.append(run, *two_steps())
    states = [await runs.state(run)]
    fork = await runs.states.jump(run.id, "write", "choose", owner_id=OWNER, branch_id=run.branch_id)
    await runs.append(run, asked("write", "choose", "select_2"), started("write", "more"), completed("write", "more"))
    again = await runs.states.branch_from_interaction(run.id, "select_1", owner_id=OWNER, branch_id=fork.id)
    back = await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=again.id)
    await runs.append(run, step_started("write"))
    await runs.branches.delete(again.id, owner_id=OWNER)
    states.append(await runs.state(run))
    wanted = [
        EventFilter(),
        EventFilter(types=[E.STEP_STARTED, E.WORKFLOW_CREATED]),
        EventFilter(step="write"),
        EventFilter(module="draft"),
        EventFilter(module="draft", types=[E.MODULE_COMPLETED]),
    ]
    lines = (run.branch_id, fork.id, back.id)
    read = [
        [event.seq for event in await runs.events.read(run.id, one, owner_id=OWNER, branch_id=line)]
        for line in lines
        for one in wanted
    ]
    listed = [
        [event.seq for event in await runs.log(run)],
        [row.id for row in await runs.branches.page(run.id, owner_id=OWNER)] == [back.id, fork.id, run.branch_id],
        len(await runs.workflows.page(owner_id=OWNER, statuses=[RunStatus.PROCESSING], project="film")),
        [one.request.seq for one in await runs.states.interactions(run.id, owner_id=OWNER)],
    ]
    assert await runs.workflows.children(run.id, owner_id=OWNER) == []
    await runs.workflows.delete(run.id, owner_id=OWNER)
    assert await runs.workflows.sweep() == 0
    seen = [(state.seq, state.position, state.step_outputs(), state.values()) for state in states]
    return [seen, read, listed]


@pytest.mark.parametrize("name", [index.name for index in INDEXES])
async def test_missing_index_costs_only_time(database: Database, name: str) -> None:
    expected = await tell(Runs(database))
    (collection,) = {index.collection for index in INDEXES if index.name == name}
    await database.collection(collection).drop_index(name)

    assert await tell(Runs(database)) == expected
