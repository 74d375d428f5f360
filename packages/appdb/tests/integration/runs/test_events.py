"""The log of a run: numbers, fences, and reading what counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from appdb import ConflictError, Database, DbEventType, InvalidDataError, NotFoundError, TooLargeError
from appdb.models import EventFilter, NewRunEvent, RunEvent, RunStatus
from appsupport.mongo.round_trips import commands_sent
from appsupport.runs.run_checks import check_cache
from appsupport.runs.run_events import (
    answered,
    asked,
    completed,
    event,
    started,
    step_completed,
    step_started,
    two_steps,
)
from appsupport.runs.run_repositories import OTHER, OWNER, Runs

E = DbEventType


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


async def test_events_get_next_seq_and_server_time(runs: Runs) -> None:
    run = await runs.begin()
    stored = await runs.append(run, *two_steps())

    now = await runs.get(run)
    assert [entry.seq for entry in stored] == list(range(1, 11))
    assert (await runs.log(run))[1:] == stored
    assert {entry.created_at for entry in stored} == {now.updated_at}
    assert now.event_count == 11
    check_cache(now, await runs.state(run))


async def test_repeated_append_changes_nothing(runs: Runs) -> None:
    run = await runs.begin()
    events = [asked("a", "m", "f1"), answered("f1")]
    first = await runs.events.append(run.id, events, owner_id=OWNER, branch_id=run.branch_id, expected_seq=1)
    again = await runs.events.append(run.id, events, owner_id=OWNER, branch_id=run.branch_id, expected_seq=1)

    async def body(session: Any) -> Any:
        return await runs.events.append(run.id, events, owner_id=OWNER, branch_id=run.branch_id, session=session)

    assert again == first == await runs.database.transaction(body)
    assert (await runs.get(run)).event_count == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"n": 2}},
        {"data": {"n": 1.0}},
        {"data": {"n": True}},
        {"data": {}},
        {"step": "b"},
        {"module": "n"},
        {"type": E.MODULE_STARTED},
    ],
)
@pytest.mark.parametrize("joined", [False, True])
async def test_event_id_reused_with_other_data_conflicts(runs: Runs, changes: dict[str, Any], joined: bool) -> None:
    run = await runs.begin()
    first = NewRunEvent(type=E.MODULE_COMPLETED, step="a", module="m", data={"n": 1})
    other = replace(first, **changes)
    await runs.append(run, first)

    async def body(session: Any) -> Any:
        return await runs.events.append(run.id, [other], owner_id=OWNER, branch_id=run.branch_id, session=session)

    with pytest.raises(ConflictError, match=first.event_id):
        await (runs.database.transaction(body) if joined else runs.append(run, other))
    assert [entry.data for entry in await runs.append(run, first)] == [{"n": 1}]
    assert (await runs.get(run)).event_count == 2


async def test_only_one_interaction_can_be_pending(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, step_started("a"), asked("a", "m", "f1"))
    for again in (asked("a", "m", "f2"), asked("a", "m", "f1")):
        with pytest.raises(ConflictError, match="interaction 'f1' is pending; it must be answered"):
            await runs.append(run, again)
    with pytest.raises(InvalidDataError, match="asks already"):
        await runs.append(run, answered("f1"), asked("a", "m", "f2"), asked("a", "m", "f3"))

    await runs.append(run, answered("f1"), asked("a", "m", "f2"), answered("f2"), asked("a", "m", "f3"))
    assert (await runs.get(run)).position.interaction_id == "f3"
    retry = event(E.RETRY_REQUESTED, target_module="m")
    await runs.append(run, retry, asked("a", "m", "f3"))
    assert [entry.type for entry in await runs.log(run)][-2:] == [E.RETRY_REQUESTED, E.INTERACTION_REQUESTED]


async def test_retry_needs_step(runs: Runs) -> None:
    run = await runs.begin()
    retry = event(E.RETRY_REQUESTED, target_module="m")
    for before in ([], [step_started("a"), completed("a", "m"), step_completed("a")]):
        await runs.append(run, *before, event(E.OUTPUT_STORED))
        with pytest.raises(ConflictError, match="no step of it is open; name the step"):
            await runs.append(run, retry)
    with pytest.raises(InvalidDataError, match="name the step"):
        await runs.append(run, step_completed("a"), retry)

    await runs.append(run, replace(retry, step="a"))
    assert (await runs.state(run)).position.step == "a"
    await runs.append(run, replace(retry, event_id="evt_again"))
    assert (await runs.state(run)).module_outputs() == {}


async def test_event_id_reused_in_other_append_conflicts(runs: Runs) -> None:
    run = await runs.begin()
    first, second = step_started("a"), step_started("b")
    await runs.append(run, first)

    with pytest.raises(ConflictError, match="its id is taken"):
        await runs.append(run, second, first)
    assert (await runs.get(run)).event_count == 2


async def test_left_branch_takes_no_events(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *two_steps())
    branch = await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id)

    with pytest.raises(ConflictError, match=f"its events go to branch {branch.id} now"):
        await runs.events.append(run.id, [step_started("x")], owner_id=OWNER, branch_id=run.branch_id)
    with pytest.raises(ConflictError, match=f"its events go to branch {branch.id} now"):
        await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id)


async def test_taken_expected_seq_refuses_append(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, step_started("a"))

    with pytest.raises(ConflictError, match="its log has 2 events, not 1"):
        await runs.events.append(run.id, [step_started("b")], owner_id=OWNER, branch_id=run.branch_id, expected_seq=1)


async def test_changed_run_refuses_append(runs: Runs) -> None:
    run = await runs.begin()
    append = partial(runs.events.append, run.id, owner_id=OWNER, branch_id=run.branch_id, expected_seq=1)
    before = run.updated_at - timedelta(milliseconds=1)
    with pytest.raises(ConflictError, match=f"{run.id}.*changed meanwhile"):
        await append([step_started("a")], unchanged_since=before)

    stored = await append([step_started("b")], unchanged_since=run.updated_at)
    assert await runs.events.log(run.id, owner_id=OWNER, after=0) == stored


async def test_repeated_append_behind_a_known_run_is_refused_in_a_transaction(runs: Runs) -> None:
    run, events = await runs.begin(), [step_started("a")]
    behind: dict[str, Any] = {"owner_id": OWNER, "branch_id": run.branch_id, "expected_seq": 1}
    behind["unchanged_since"] = run.updated_at

    async def body(session: Any) -> list[RunEvent]:
        return list(await runs.events.append(run.id, events, session=session, **behind))

    await runs.database.transaction(body)
    with commands_sent() as sent, pytest.raises(ConflictError, match="changed meanwhile"):
        await runs.database.transaction(body)

    assert sent == ["findAndModify", "abortTransaction"]
    assert await runs.events.append(run.id, events, **behind) == await runs.events.log(run.id, owner_id=OWNER, after=0)


async def test_interaction_is_answered_once(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, asked("a", "m", "f1"))
    with pytest.raises(ConflictError, match="interaction 'f2' is not pending"):
        await runs.append(run, answered("f2"))
    await runs.append(run, answered("f1", value=1))

    with pytest.raises(ConflictError, match="interaction 'f1' is settled by event") as refused:
        await runs.append(run, answered("f1", value=2))
    assert refused.value.accepted == (await runs.log(run))[-1].id
    assert (await runs.get(run)).status is RunStatus.PROCESSING


async def test_append_is_all_or_nothing(runs: Runs) -> None:
    run = await runs.begin()

    with pytest.raises(InvalidDataError):
        await runs.append(run, step_started("a"), event(E.MODULE_STARTED, "a"))
    with pytest.raises(TooLargeError):
        await runs.append(run, step_started("a"), completed("a", "m", text="x" * 300_000))
    with pytest.raises(TooLargeError):
        await runs.append(run, *[completed("a", "m", text="x" * 250_000) for _ in range(18)])
    with pytest.raises(InvalidDataError):
        await runs.append(run)
    with pytest.raises(InvalidDataError):
        await runs.append(run, step_started("\ud800"))
    assert (await runs.get(run)).event_count == 1


async def test_reads_follow_lineage(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *two_steps())
    branch = await runs.states.jump(run.id, "write", "choose", owner_id=OWNER, branch_id=run.branch_id)
    await runs.append(run, started("write", "choose"), completed("write", "choose", value=2))

    counting = await runs.events.read(run.id, owner_id=OWNER)
    assert [entry.seq for entry in counting] == [0, 1, 2, 3, 11, 12, 13]
    page = await runs.events.read(run.id, EventFilter(after=2), owner_id=OWNER, limit=2)
    assert [entry.seq for entry in page] == [3, 11]
    of_type = EventFilter(types=[E.MODULE_COMPLETED, E.STEP_STARTED])
    assert [entry.seq for entry in await runs.events.read(run.id, of_type, owner_id=OWNER)] == [1, 3, 13]
    of_module = EventFilter(module="choose")
    assert [entry.seq for entry in await runs.events.read(run.id, of_module, owner_id=OWNER)] == [11, 12, 13]
    both = EventFilter(module="choose", types=[E.MODULE_COMPLETED], before=13)
    assert await runs.events.read(run.id, both, owner_id=OWNER) == []
    latest = await runs.events.latest(run.id, E.MODULE_COMPLETED, owner_id=OWNER, module="choose")
    assert latest is not None
    assert latest.data == {"value": 2}
    assert await runs.events.latest(run.id, E.STEP_COMPLETED, owner_id=OWNER) is None
    old = await runs.events.read(run.id, owner_id=OWNER, branch_id=run.branch_id)
    assert [entry.seq for entry in old] == list(range(11))
    assert [entry.seq for entry in await runs.log(run)] == list(range(14))
    assert branch.parent_id == run.branch_id


async def test_another_owner_reads_and_appends_nothing(runs: Runs) -> None:
    run = await runs.begin()
    stored = await runs.append(run, step_started("a"))

    with pytest.raises(NotFoundError):
        await runs.events.get(stored[0].id, owner_id=OTHER)
    for call in (
        runs.events.append(run.id, [step_completed("a")], owner_id=OTHER, branch_id=run.branch_id),
        runs.events.log(run.id, owner_id=OTHER),
        runs.events.read(run.id, owner_id=OTHER),
        runs.states.get(run.id, owner_id=OTHER),
        runs.database.recover_run(run.id, owner_id=OTHER),
    ):
        with pytest.raises(NotFoundError):
            await call
    assert (await runs.get(run)).event_count == 2
