"""Runs that failed: they stay open, go on, and are given up for others."""

from __future__ import annotations

from typing import Any

import pytest

from appdb import ConflictError, Database, DbEventType
from appdb.models import NewRun, NewRunEvent, RunStatus
from appsupport.runs.run_checks import check_cache
from appsupport.runs.run_events import asked, event, started, step_started
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType
FAILS = [step_started("a"), started("a", "m"), event(E.MODULE_ERROR, "a", "m", error="no"), event(E.WORKFLOW_ERROR)]


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


def fails() -> list[NewRunEvent]:
    return [NewRunEvent(type=one.type, step=one.step, module=one.module, data=one.data) for one in FAILS]


async def test_next_visit_finds_failed_run(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *fails())
    again, made = await runs.workflows.open(NewRun(project="film"), owner_id=OWNER)

    assert (again.id, again.status, again.open, made) == (run.id, RunStatus.ERROR, True, False)
    assert again.completed_at is None
    await runs.append(run, event(E.RETRY_REQUESTED, target_module="m"))
    assert (await runs.get(run)).status is RunStatus.PROCESSING
    check_cache(await runs.get(run), await runs.state(run))


async def test_failed_run_can_be_cancelled(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *fails())
    await runs.append(run, event(E.SIGNAL_RECEIVED, name="news", signal_id="s1"))
    await runs.append(run, event(E.WORKFLOW_CANCELLED))

    assert (await runs.get(run)).open is False
    for late in (event(E.WORKFLOW_CANCELLED), event(E.SIGNAL_RECEIVED, name="news", signal_id="s2")):
        with pytest.raises(ConflictError, match="it is cancelled"):
            await runs.append(run, late)


@pytest.mark.parametrize("end", [fails(), [started("a", "m"), asked("a", "m", "f1")]])
async def test_fresh_run_replaces_open_one(runs: Runs, end: list[NewRunEvent]) -> None:
    run = await runs.begin()
    await runs.append(run, *end)
    new = NewRun(project="film", fresh=True)
    opened = [await runs.workflows.open(new, owner_id=OWNER) for _ in range(2)]

    assert [(one.id, made) for one, made in opened] == [(new.run_id, True), (new.run_id, False)]
    given_up = (await runs.log(run))[-1]
    assert (given_up.type, given_up.data) == (E.WORKFLOW_CANCELLED, {"replaced_by": new.run_id})
    assert (await runs.get(run)).status is RunStatus.CANCELLED
    assert (await runs.workflows.open(NewRun(project="film"), owner_id=OWNER))[0].id == new.run_id


async def test_fresh_run_joins_callers_transaction(runs: Runs) -> None:
    run = await runs.begin()

    async def body(session: Any) -> None:
        await runs.workflows.open(NewRun(project="film", fresh=True), owner_id=OWNER, session=session)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await runs.database.transaction(body)
    assert (await runs.get(run)).open is True


async def test_run_closed_by_older_host_stays_closed(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, *fails())
    older = {"$set": {"open": False}}
    await runs.database.collection("workflow_runs").update_one({"_id": run.id}, older)

    assert (await runs.database.recover_run(run.id, owner_id=OWNER)).disagreements == ()
    new = await runs.begin()
    assert new.id != run.id
    assert (await runs.get(run)).status is RunStatus.ERROR
    with pytest.raises(ConflictError, match="another run of its project is open"):
        await runs.append(run, event(E.RETRY_REQUESTED, target_module="m"))
