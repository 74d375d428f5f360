"""Runs with many forks: a state is read from what is near its event, however many forks lie before it."""

from __future__ import annotations

from typing import Any

import pytest

from appdb import Database, DbEventType
from appdb._queries import run_reads
from appdb.models import NewRunEvent, Run
from appdb.runs.fold import FOLD_VERSION
from appdb.runs.size_limits import PAGE_EVENTS
from appsupport.mongo.round_trips import commands_sent
from appsupport.runs.run_events import completed, event, started
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType
FEW, MANY = 3, 60
LEFT = 2
"""Events of each branch that a fork leaves behind."""
NAMED = 6
"""Events that a state names: two starts, two outputs, the beginning of the run and that of the branch."""


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


def turn() -> list[NewRunEvent]:
    """Return the events of two modules, each of which runs and gives something."""
    return [started("loop", "a"), completed("loop", "a", {"a": 1}), started("loop", "b"), completed("loop", "b")]


async def forked(runs: Runs, forks: int) -> tuple[Run, list[int]]:
    """Return a run with *forks* forks one behind the other, and the numbers of the events that count."""
    run = await runs.begin(f"with {forks}")
    line, branch_id = [0], run.branch_id
    for number in range(forks + 1):
        added = await runs.events.append(run.id, [*turn(), *turn()], owner_id=OWNER, branch_id=branch_id)
        line += [one.seq for one in added]
        if number < forks:
            del line[-LEFT:]
            fork = await runs.branches.fork(
                run.id, line[-1], event(E.WORKFLOW_RESUMED), owner_id=OWNER, branch_id=branch_id
            )
            branch_id = fork.id
            line.append(fork.lineage[-1].first_seq)
    return await runs.get(run), line


async def looked_at(runs: Runs, run: Run, seq: int | None) -> tuple[dict[str, tuple[int, int]], int]:
    """Return the keys and documents that the server looks at for a state by collection, and the parts that it gives."""
    end = run_reads.LineEnd(run_id=run.id, owner_id=OWNER, seq=seq)
    pipeline = run_reads.run_on_line(end, fold_version=FOLD_VERSION, page=PAGE_EVENTS)
    # Of a lookup that is unwound at once the server tells nothing.
    told = [stage for stage in pipeline if "$unwind" not in stage]
    command = {"explain": {"aggregate": "workflow_runs", "pipeline": told, "cursor": {}}}
    answer = await runs.database.raw.command({**command, "verbosity": "executionStats"})
    found: dict[str, tuple[int, int]] = {}
    for stage in answer["stages"]:
        if "$lookup" in stage:
            keys, documents = found.get(stage["$lookup"]["from"], (0, 0))
            more = (keys + stage["totalKeysExamined"], documents + stage["totalDocsExamined"])
            found[stage["$lookup"]["from"]] = more
    rows = [row async for row in runs.database.collection("workflow_runs").aggregate(pipeline)]
    return found, len(rows[0]["head"]["branch"]["lineage"])


@pytest.mark.parametrize("place", [None, -1, -9, -10, -14])
async def test_state_looks_at_as_much_with_many_forks_as_with_few(runs: Runs, place: int | None) -> None:
    costs = []
    for forks in (FEW, MANY):
        run, line = await forked(runs, forks)
        costs.append(await looked_at(runs, run, None if place is None else line[place]))

    assert costs[0] == costs[1]
    found, parts = costs[0]
    assert parts == 1
    assert found["branches"] == (1, 1)
    assert found["snapshots"][1] <= 1, found
    assert found["events"][1] <= NAMED + 2 * len(turn()), found


async def test_state_with_many_forks_costs_one_round_trip(runs: Runs) -> None:
    run, line = await forked(runs, MANY)
    with commands_sent() as sent:
        view = await runs.states.read(run.id, owner_id=OWNER)
        states = [await runs.states.at(run.id, seq, owner_id=OWNER) for seq in line]

    assert sent == ["aggregate"] * (1 + len(line))
    assert view.state == states[-1]


async def test_snapshots_of_forks_change_no_state(runs: Runs) -> None:
    run, line = await forked(runs, FEW)
    near = [await runs.states.at(run.id, seq, owner_id=OWNER) for seq in line]
    snapshots = runs.database.collection("snapshots")
    firsts = [row["seq"] async for row in snapshots.find({"run_id": run.id}).sort("seq")]
    branches = await runs.branches.page(run.id, owner_id=OWNER)
    await snapshots.delete_many({})
    far = [await runs.states.at(run.id, seq, owner_id=OWNER) for seq in line]

    assert firsts == sorted(branch.lineage[-1].first_seq for branch in branches if branch.parent_id)
    assert far == near


async def test_line_without_snapshots_costs_two_round_trips(runs: Runs) -> None:
    run, _ = await forked(runs, FEW)
    state = await runs.state(run)
    await runs.database.collection("snapshots").delete_many({})
    with commands_sent() as sent:
        again = await runs.states.read(run.id, owner_id=OWNER)

    assert sent == ["aggregate"] * 2
    assert again.state == state


async def test_fork_that_is_not_committed_leaves_no_snapshot(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *turn())

    async def body(session: Any) -> None:
        why = event(E.WORKFLOW_RESUMED)
        await runs.branches.fork(run.id, 2, why, owner_id=OWNER, branch_id=run.branch_id, session=session)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await runs.database.transaction(body)

    assert await runs.database.collection("snapshots").count_documents({}) == 0
    assert (await runs.get(run)).branch_id == run.branch_id
