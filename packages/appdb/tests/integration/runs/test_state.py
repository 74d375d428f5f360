"""The state of runs: folded from what counts, and from snapshots where there are some."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from appdb import ConflictError, Database, DbEventType, NotFoundError
from appdb.models import NewRunEvent, Run, RunState
from appdb.runs import fold as folding
from appdb.runs import lines
from appdb.runs.fold import FOLD_VERSION, fold_events
from appsupport.runs.run_checks import check_lawful
from appsupport.runs.run_events import answered, asked, completed, event, started, step_started, two_steps
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType
LONG = 10_000
A_FEW_HUNDRED = 800
"""Documents: a page of events, the rest of the last 200, and the events that the state keeps."""


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


def much(count: int) -> list[NewRunEvent]:
    """Return *count* events of four modules that run over and over."""
    turn = [
        started("loop", "a"),
        completed("loop", "a", {"text": "a"}, n=1),
        asked("loop", "b", "form"),
        answered("form", ok=True),
        completed("loop", "b", {"other": "b"}, n=2),
    ]
    return [NewRunEvent(type=new.type, step=new.step, module=new.module, data=new.data) for new in turn * (count // 5)]


async def long_run(runs: Runs, count: int = LONG) -> Run:
    run = await runs.begin()
    events = much(count)
    for start in range(0, count, 500):
        await runs.append(run, *events[start : start + 500])
    return run


@contextlib.asynccontextmanager
async def documents_read(database: Database) -> AsyncIterator[list[int]]:
    """Count in the list's only place what the server returned for this database's reads."""
    counted = [0]
    before = await _returned(database)
    yield counted
    counted[0] = await _returned(database) - before


async def _returned(database: Database) -> int:
    """Return how many documents the server's collections of runs have returned so far."""
    reads = {"op": {"$in": ["query", "getmore", "command"]}}
    profiled = database.collection("system.profile").find(reads, {"nreturned": 1})
    return sum([row.get("nreturned", 0) async for row in profiled])


@pytest.mark.timeout(600)
async def test_long_run_is_read_from_snapshot(runs: Runs) -> None:
    run = await long_run(runs)
    whole = await runs.state(run)
    await runs.append(run, *much(100))
    await runs.database.raw.command({"profile": 2})
    try:
        async with documents_read(runs.database) as counted:
            state = await runs.state(run)
    finally:
        await runs.database.raw.command({"profile": 0})

    assert (whole.seq, state.seq) == (LONG, LONG + 100)
    assert state.module_outputs() == {"a": {"n": 1}, "b": {"n": 2}}
    assert 0 < counted[0] <= A_FEW_HUNDRED
    assert state == fold_events(await runs.log(run))


async def test_ancestors_snapshot_serves_branch_up_to_cutoff(runs: Runs) -> None:
    run = await long_run(runs, 600)
    await runs.state(run)
    stored = [row async for row in runs.database.collection("snapshots").find({"run_id": run.id})]
    assert {row["branch_id"] for row in stored} == {run.branch_id}
    newest = max(row["seq"] for row in stored)

    for cutoff in (newest + 3 if newest < 600 else newest, newest - 1, 7):
        now = await runs.get(run)
        why = event(E.RETRY_REQUESTED, "loop", target_module="a")
        await runs.branches.fork(run.id, cutoff, why, owner_id=OWNER, branch_id=now.branch_id)
        counting = await runs.events.read(run.id, owner_id=OWNER, limit=10_000)
        state = await runs.state(run)
        assert state == fold_events(counting)
        check_lawful(state, {entry.seq for entry in counting})


async def test_snapshot_of_another_fold_is_ignored(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await long_run(runs, 300)
    right = await runs.state(run)
    wrong = {"$set": {"state.steps": ["a lie"]}}
    await runs.database.collection("snapshots").update_many({}, wrong)
    lied = await runs.state(run)
    monkeypatch.setattr(lines, "FOLD_VERSION", folding.FOLD_VERSION + 1)

    assert lied.steps_completed == ("a lie",)
    assert await runs.state(run) == right


async def test_snapshot_without_its_events_is_ignored(runs: Runs) -> None:
    run = await long_run(runs, 300)
    right = await runs.state(run)
    await runs.database.collection("snapshots").update_many({}, {"$push": {"state.outputs": "evt_gone"}})

    assert await runs.state(run) == right


async def test_gap_in_log_is_reported(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *two_steps())
    await runs.database.collection("events").delete_one({"run_id": run.id, "seq": 4})

    with pytest.raises(ConflictError, match="event 4 is missing"):
        await runs.state(run)


async def test_state_after_any_event_can_be_read(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *two_steps())
    log = await runs.log(run)

    for seq in range(len(log)):
        assert await runs.states.at(run.id, seq, owner_id=OWNER) == fold_events(log[: seq + 1])
    await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id)
    assert await runs.states.at(run.id, 10, owner_id=OWNER, branch_id=run.branch_id) == fold_events(log)
    for seq, branch_id in ((11, run.branch_id), (5, None), (12, None)):
        with pytest.raises(NotFoundError):
            await runs.states.at(run.id, seq, owner_id=OWNER, branch_id=branch_id)


async def test_interactions_are_paged_with_answers(runs: Runs) -> None:
    run = await runs.begin()
    for number in range(5):
        await runs.append(run, asked("a", "m", f"f{number}"), answered(f"f{number}", n=number))
    await runs.append(run, asked("a", "m", "f5"))

    newest = await runs.states.interactions(run.id, owner_id=OWNER, limit=2)
    assert [pair.request.interaction_id for pair in newest] == ["f4", "f5"]
    assert [pair.response is None for pair in newest] == [False, True]
    older = await runs.states.interactions(run.id, owner_id=OWNER, limit=9, before=newest[0].request.seq)
    assert [pair.response and pair.response.data["n"] for pair in older] == [0, 1, 2, 3]


async def test_retry_context_ignores_left_branches(runs: Runs) -> None:
    run = await runs.begin()
    retry = event(E.RETRY_REQUESTED, target_module="m", feedback="shorter")
    await runs.append(run, started("a", "m"), completed("a", "m", text="left"), retry)
    await runs.states.jump(run.id, "a", "m", owner_id=OWNER, branch_id=run.branch_id)
    again = event(E.RETRY_REQUESTED, target_module="m", feedback="longer")
    await runs.append(run, step_started("a"), started("a", "m"), completed("a", "m", text="one"), again)
    await runs.append(run, started("a", "m"), completed("a", "m", text="two"))

    tries = await runs.states.retry_context(run.id, "m", owner_id=OWNER)
    assert [(one.outputs, one.feedback and one.feedback["feedback"]) for one in tries] == [
        ({"text": "one"}, "longer"),
        ({"text": "two"}, None),
    ]
    output = await runs.states.module_output(run.id, "m", owner_id=OWNER)
    assert output is not None
    assert output.data == {"text": "two"}
    assert await runs.states.module_output(run.id, "never", owner_id=OWNER) is None


async def test_undone_outputs_are_seen_nowhere(runs: Runs) -> None:
    run = await runs.begin()
    ran = [completed("a", "l", {"x": 1}, n=1), completed("a", "m", {"x": 2, "y": 2}, n=2), completed("a", "n", n=3)]
    await runs.append(run, step_started("a"), *ran)
    await runs.append(run, event(E.RETRY_REQUESTED, target_module="m"))
    state = await runs.state(run)

    assert (state.module_outputs(), state.values()) == ({"l": {"n": 1}}, {"x": 1})
    assert await runs.states.module_output(run.id, "m", owner_id=OWNER) is None
    kept = await runs.states.module_output(run.id, "l", owner_id=OWNER, step="a")
    assert kept is not None
    assert kept.id == ran[0].event_id
    tries = await runs.states.retry_context(run.id, "m", owner_id=OWNER)
    assert [one.outputs for one in tries] == [{"n": 2}], "what was given before is still known to the one who retries"


async def test_snapshots_of_older_fold_are_unused(runs: Runs) -> None:
    run = await long_run(runs, 300)
    state = await runs.state(run)
    stored = runs.database.collection("snapshots")
    older = {"$set": {"fold_version": FOLD_VERSION - 1, "state": {"mapped": [], "seq": 250}}}
    assert (await stored.update_many({}, older)).modified_count > 0

    assert await runs.state(run) == state
    assert await stored.count_documents({"fold_version": FOLD_VERSION}) > 0


async def test_state_read_in_transaction_writes_nothing(runs: Runs) -> None:
    run = await long_run(runs, 300)

    async def body(session: Any) -> RunState:
        before = await runs.states.get(run.id, owner_id=OWNER, session=session)
        await runs.append(run, step_started("later"))
        return before if before == await runs.states.get(run.id, owner_id=OWNER, session=session) else RunState()

    assert (await runs.database.transaction(body)).seq == 300
    assert await runs.database.collection("snapshots").count_documents({}) == 0
