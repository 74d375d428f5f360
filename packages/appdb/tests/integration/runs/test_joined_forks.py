"""Forks, events behind them and tasks, in one transaction of the caller that can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from appdb import Database, DbEventType, NewTask, derived_id
from appdb.models import NewRunEvent, Run, TaskFilter
from appsupport.runs.run_checks import check_cache
from appsupport.runs.run_events import event, two_steps
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType
NEW = "br_new"


class CutOffError(Exception):
    """The host died before its transaction was committed."""


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


def jump(runs: Runs, run: Run, **options: Any) -> Any:
    return runs.states.jump(run.id, "write", "choose", **options)


def branch_from_question(runs: Runs, run: Run, **options: Any) -> Any:
    return runs.states.branch_from_interaction(run.id, "select_1", **options)


def fork(runs: Runs, run: Run, **options: Any) -> Any:
    why = NewRunEvent(type=E.RETRY_REQUESTED, step="write", module="draft", event_id="evt_why")
    return runs.branches.fork(run.id, 3, why, **options)


def reset(runs: Runs, run: Run, **options: Any) -> Any:
    return runs.workflows.reset(run.id, **options)


def switch(runs: Runs, run: Run, **options: Any) -> Any:
    return runs.branches.switch(run.id, "br_first", **options)


@pytest.mark.parametrize("go_back", [jump, branch_from_question, fork, reset, switch])
async def test_fork_events_and_tasks_commit_together(runs: Runs, go_back: Callable[..., Any]) -> None:
    run = await runs.begin(branch_id="br_first")
    await runs.append(run, *two_steps())
    current = "br_first"
    if go_back is switch:
        current = (await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id="br_first")).id
    count = (await runs.get(run)).event_count
    events = [event(E.OUTPUT_STORED), event(E.OUTPUT_STORED)]
    task = NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=run.id, task_id=derived_id("tq_", run.id, "1"))

    async def body(session: Any) -> None:
        await go_back(runs, run, owner_id=OWNER, branch_id=current, new_branch_id=NEW, session=session)
        await runs.events.append(run.id, events, owner_id=OWNER, branch_id=NEW, expected_seq=count + 1, session=session)
        await runs.queue.enqueue_many([task], session=session)

    async def cut_off(session: Any) -> None:
        await body(session)
        raise CutOffError

    with pytest.raises(CutOffError):
        await runs.database.transaction(cut_off)
    assert (await runs.get(run)).branch_id == current
    for _ in range(3):
        await runs.database.transaction(body)

    log = (await runs.log(run))[count:]
    assert [(entry.seq, entry.branch_id) for entry in log] == [(count + at, NEW) for at in range(3)]
    assert [entry.id for entry in log[1:]] == [one.event_id for one in events]
    assert log[0].id in (derived_id("evt_", NEW, "fork"), "evt_why")
    assert len(await runs.queue.find(TaskFilter(owner_id=OWNER, run_id=run.id))) == 1
    check_cache(await runs.get(run), await runs.state(run))
