"""Beginnings of runs: a run that is opened together with what follows its first event."""

from __future__ import annotations

from typing import Any

import pytest

from appdb import ConflictError, Database, DbEventType, InvalidDataError, NotFoundError
from appdb.models import NewRun, NewRunEvent, RunStatus
from appsupport.mongo.round_trips import commands_sent
from appsupport.runs.run_checks import check_cache
from appsupport.runs.run_events import answered, asked, completed, event, started, step_started
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType
TO_A_QUESTION = [step_started("s"), started("s", "a"), completed("s", "a"), started("s", "b"), asked("s", "b", "i1")]


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


@pytest.mark.parametrize(
    "events",
    [
        TO_A_QUESTION,
        [step_started("s"), started("s", "a")],
        [step_started("s"), event(E.STEP_COMPLETED, "s"), event(E.WORKFLOW_COMPLETED)],
        [step_started("s"), event(E.WORKFLOW_CANCELLED)],
        [event(E.WORKFLOW_ERROR)],
    ],
    ids=["question", "work", "completed", "cancelled", "failed"],
)
async def test_run_opened_with_events_is_as_if_they_were_appended(runs: Runs, events: list[NewRunEvent]) -> None:
    appended = await runs.begin("appended")
    await runs.append(appended, *[NewRunEvent(type=e.type, step=e.step, module=e.module, data=e.data) for e in events])
    opened, made = await runs.workflows.open(NewRun(project="opened"), owner_id=OWNER, events=events)

    one, other = await runs.get(appended), await runs.get(opened)
    assert made
    assert opened == other
    for name in ("status", "open", "position", "event_count"):
        assert getattr(one, name) == getattr(other, name)
    assert (one.completed_at is None, one.question is None) == (other.completed_at is None, other.question is None)
    assert [(e.type, e.seq) for e in await runs.log(appended)] == [(e.type, e.seq) for e in await runs.log(opened)]
    stored = [row async for row in runs.database.collection("workflow_runs").find({}, {"cancelling": 1})]
    assert stored[0]["cancelling"] == stored[1]["cancelling"]
    check_cache(other, await runs.state(other))


async def test_run_opened_with_events_costs_one_write_for_each_collection(runs: Runs) -> None:
    new = NewRun(project="film")
    with commands_sent() as sent:
        await runs.workflows.open(new, owner_id=OWNER, events=TO_A_QUESTION)
    assert sent == ["find", "findAndModify", "insert", "insert", "commitTransaction"]

    again, made = await runs.workflows.open(new, owner_id=OWNER, events=TO_A_QUESTION)
    assert (again.id, again.event_count, again.status, made) == (new.run_id, 6, RunStatus.AWAITING_INPUT, False)


async def test_events_that_no_new_run_accepts_make_none(runs: Runs) -> None:
    for events in ([answered("i1")], [event(E.WORKFLOW_COMPLETED), step_started("s")], [event(E.WORKFLOW_CREATED)]):
        new = NewRun(project="film")
        with pytest.raises(InvalidDataError):
            await runs.workflows.open(new, owner_id=OWNER, events=events)
        with pytest.raises(NotFoundError):
            await runs.workflows.get(new.run_id, owner_id=OWNER)


async def test_transaction_that_opened_run_holds_it_without_asking(runs: Runs) -> None:
    async def body(session: Any) -> None:
        run, _ = await runs.workflows.open(
            NewRun(project="film"), owner_id=OWNER, events=TO_A_QUESTION, session=session
        )
        await runs.events.append(
            run.id, [answered("i1")], owner_id=OWNER, branch_id=run.branch_id, expected_seq=6, session=session
        )

    with commands_sent() as sent:
        await runs.database.transaction(body)
    assert sent == ["find", "findAndModify", "insert", "insert", "findAndModify", "insert", "commitTransaction"]


async def test_taken_id_of_event_is_named(runs: Runs) -> None:
    (taken,) = await runs.log(await runs.begin("other"))
    events = [step_started("s"), NewRunEvent(type=E.OUTPUT_STORED, data={}, event_id=taken.id)]
    new = NewRun(project="film")

    with pytest.raises(ConflictError, match=f"^event {taken.id}: its id is taken"):
        await runs.workflows.open(new, owner_id=OWNER, events=events)
    with pytest.raises(NotFoundError):
        await runs.workflows.get(new.run_id, owner_id=OWNER)
