"""Lists over runs: by last activity, open questions, and runs that nothing will move on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from appdb import Claimer, Database, InvalidDataError, Lease, NewTask, RunListRepository, uuid7_str
from appdb import DbEventType as E
from appdb.models import NewRunEvent, Run, RunFilter, RunStatus
from appsupport.runs.run_events import answered, asked, event, started, step_started
from appsupport.runs.run_repositories import OTHER, OWNER, Runs

AT_ONCE = timedelta(0)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


@pytest.fixture
def lists(database: Database) -> RunListRepository:
    return RunListRepository(database)


def ids(found: list[Run]) -> list[str]:
    return [run.id for run in found]


def begun() -> list[NewRunEvent]:
    return [step_started("a"), started("a", "m")]


async def asks(runs: Runs, project: str, form: str = "f1", **changes: object) -> Run:
    run = await runs.begin(project, **changes)
    await runs.append(run, *begun(), asked("a", "m", form, title=f"{project}?"))
    return run


async def works(runs: Runs, project: str, **changes: object) -> Run:
    run = await runs.begin(project, **changes)
    await runs.append(run, *begun())
    return run


async def rests(runs: Runs, *quiet: Run, since: datetime = LONG_AGO) -> None:
    """Let runs look as if nothing had happened for long."""
    match = {"_id": {"$in": [run.id for run in quiet]}}
    await runs.database.collection("workflow_runs").update_many(match, {"$set": {"updated_at": since}})


async def test_last_activity_comes_first(runs: Runs, lists: RunListRepository) -> None:
    first, second, third = [await works(runs, f"film {number}") for number in range(3)]
    await runs.begin("sub", parent_id=first.id)
    await runs.append(first, event(E.OUTPUT_STORED))

    assert ids(await lists.by_activity(owner_id=OWNER)) == [first.id, third.id, second.id]
    assert await lists.by_activity(owner_id=OTHER) == []


async def test_pages_go_on_where_moved_run_was(runs: Runs, lists: RunListRepository) -> None:
    made = [await works(runs, f"film {number}") for number in range(5)]
    page = await lists.by_activity(owner_id=OWNER, limit=2)
    await runs.append(made[3], event(E.OUTPUT_STORED))  # the last of the page is the first of the list now
    rest = await lists.by_activity(owner_id=OWNER, limit=2, before=page[-1].place)

    assert ids(page + rest) == [made[number].id for number in (4, 3, 2, 1)]
    assert ids(await lists.by_activity(owner_id=OWNER, before=rest[-1].place)) == [made[0].id]


async def test_runs_of_one_millisecond_are_on_one_page_each(runs: Runs, lists: RunListRepository) -> None:
    made = [await works(runs, f"film {number}") for number in range(5)]
    await rests(runs, *made)
    seen: list[str] = []
    page = await lists.by_activity(owner_id=OWNER, limit=2)
    while page:
        seen += ids(page)
        page = await lists.by_activity(owner_id=OWNER, limit=2, before=page[-1].place)

    assert seen == sorted(ids(made), reverse=True)


async def test_statuses_templates_and_projects_narrow_lists(runs: Runs, lists: RunListRepository) -> None:
    waiting, working = await asks(runs, "one"), await works(runs, "two")

    assert ids(await lists.by_activity(owner_id=OWNER, statuses=[RunStatus.PROCESSING])) == [working.id]
    both = RunFilter(owner_id=None, statuses=frozenset({RunStatus.AWAITING_INPUT, RunStatus.PROCESSING}))
    assert ids(await lists.find_for_operators(both)) == [working.id, waiting.id]
    assert ids(await lists.find_for_operators(both, oldest_first=True)) == [waiting.id, working.id]
    assert ids(await lists.find_for_operators(RunFilter(owner_id=None, project="one"))) == [waiting.id]
    assert await lists.find_for_operators(RunFilter(owner_id=OTHER)) == []
    assert await lists.find_for_operators(RunFilter(owner_id=None, template_id="tpl_1")) == []
    await rests(runs, working)
    assert ids(await lists.find_for_operators(RunFilter(owner_id=None, updated_after=waiting.created_at))) == [
        waiting.id
    ]


async def test_inbox_has_questions_of_all_runs(runs: Runs, lists: RunListRepository) -> None:
    parent = await works(runs, "parent")
    first = await asks(runs, "first", "form_1")
    child = await asks(runs, "sub", "form_2", parent_id=parent.id)
    done = await asks(runs, "done", "form_3")
    await runs.append(done, answered("form_3"))

    found = await lists.inbox(owner_id=OWNER)
    assert [(one.run.id, one.interaction_id) for one in found] == [(first.id, "form_1"), (child.id, "form_2")]
    assert [one.request and one.request.data["title"] for one in found] == ["first?", "sub?"]
    assert [(one.run.project, one.run.position.step, one.run.position.module) for one in found] == [
        ("first", "a", "m"),
        ("sub", "a", "m"),
    ]
    assert [one.since for one in found] == [one.request and one.request.created_at for one in found]
    newest = await lists.waiting(owner_id=OWNER, newest_first=True)
    assert [one.interaction_id for one in newest] == ["form_2", "form_1"]
    assert {one.request for one in newest} == {None}
    assert await lists.inbox(owner_id=OTHER) == []


async def test_question_keeps_its_time_until_answered(runs: Runs, lists: RunListRepository) -> None:
    run = await asks(runs, "film")
    (before,) = await lists.waiting(owner_id=OWNER)
    await asyncio.sleep(0.002)  # the next event has another millisecond
    await runs.append(run, event(E.OUTPUT_STORED))
    (same,) = await lists.waiting(owner_id=OWNER)
    assert (same.since, same.run.updated_at > before.since) == (before.since, True)

    await runs.append(run, answered("f1"), asked("a", "m", "f2"))
    (other,) = await lists.inbox(owner_id=OWNER)
    assert (other.interaction_id, other.since > before.since) == ("f2", True)
    assert other.request is not None
    assert other.request.interaction_id == "f2"


async def test_inbox_goes_on_behind_answered_question(runs: Runs, lists: RunListRepository) -> None:
    made = [await asks(runs, f"film {number}") for number in range(4)]
    page = await lists.inbox(owner_id=OWNER, limit=2)
    for one in page:
        await runs.append(one.run, answered("f1"))
    rest = await lists.inbox(owner_id=OWNER, before=page[-1].place)

    assert [one.run.id for one in page + rest] == ids(made)


async def test_question_asked_again_shows_its_last_request(runs: Runs, lists: RunListRepository) -> None:
    run = await asks(runs, "film")
    await runs.append(run, answered("f1"), asked("a", "m", "f1", title="again?"))

    (question,) = await lists.inbox(owner_id=OWNER)
    assert question.request is not None
    assert question.request.data["title"] == "again?"


async def test_run_of_older_host_has_time_of_its_change(runs: Runs, lists: RunListRepository) -> None:
    run = await asks(runs, "film")
    stale = {"interaction_id": "an older one", "since": LONG_AGO}
    for change in ({"$set": {"question": stale}}, {"$unset": {"question": ""}}):
        await runs.database.collection("workflow_runs").update_one({"_id": run.id}, change)
        (question,) = await lists.waiting(owner_id=OWNER)
        assert question.since == question.run.updated_at


async def test_run_without_live_cause_is_stuck(runs: Runs, lists: RunListRepository) -> None:
    stuck, created = await works(runs, "stuck"), await runs.begin("created")
    asking, ended, tasked = await asks(runs, "asks"), await works(runs, "ended"), await works(runs, "tasked")
    await runs.append(ended, event(E.WORKFLOW_ERROR))
    task = await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=tasked.id))
    await rests(runs, stuck, created, asking, ended, tasked)

    assert set(ids(await lists.stuck(owner_id=OWNER))) == {stuck.id, created.id}
    assert await lists.stuck(owner_id=OTHER) == []
    await runs.queue.cancel(task.id, owner_id=OWNER)
    assert set(ids(await lists.stuck_for_operators())) == {stuck.id, created.id, tasked.id}


async def test_waiting_and_running_tasks_are_live_causes(runs: Runs, lists: RunListRepository) -> None:
    timer, running = await works(runs, "timer"), await works(runs, "running")
    new = NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=timer.id, delay=timedelta(hours=1))
    await runs.queue.enqueue(new)
    await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=running.id))
    (held,) = await runs.queue.claim(Claimer(worker_id="w", queues=("default",), handlers=("echo@1",)))
    await rests(runs, timer, running)

    assert await lists.stuck(owner_id=OWNER) == []
    await runs.queue.complete(Lease.of(held), {})
    assert ids(await lists.stuck(owner_id=OWNER)) == [running.id]


async def test_run_lives_by_child_that_lives(runs: Runs, lists: RunListRepository) -> None:
    parent = await works(runs, "parent")
    child = await works(runs, "child", parent_id=parent.id)
    grandchild = await works(runs, "grandchild", parent_id=child.id)
    task = await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=grandchild.id))
    await rests(runs, parent, child, grandchild)
    assert await lists.stuck(owner_id=OWNER) == []

    await runs.queue.cancel(task.id, owner_id=OWNER)
    assert ids(await lists.stuck(owner_id=OWNER)) == [parent.id]
    await runs.append(grandchild, asked("a", "m", "f1"))
    await rests(runs, grandchild)
    assert await lists.stuck(owner_id=OWNER) == []
    await runs.append(grandchild, answered("f1"), event(E.WORKFLOW_COMPLETED))
    await rests(runs, grandchild)
    assert ids(await lists.stuck(owner_id=OWNER)) == [parent.id]


async def test_run_that_awaits_message_is_not_stuck(runs: Runs, lists: RunListRepository) -> None:
    parent = await works(runs, "parent")
    child = await works(runs, "child", parent_id=parent.id)
    waits = [{"kind": "signal", "id": "delivered"}]
    begun = event(E.SUB_ACTION_STARTED, "a", "m", sub_action_id="m/delivered", _waiting_on=waits)
    await runs.append(child, begun)
    stuck = [await works(runs, f"stuck {number}") for number in range(2)]
    await rests(runs, parent, child, *stuck)

    for limit in (1, 2, 3):
        assert ids(await lists.stuck(owner_id=OWNER, limit=limit)) == ids(stuck)[:limit]
    await runs.append(child, event(E.SUB_ACTION_COMPLETED, "a", "m", sub_action_id="m/delivered"))
    await rests(runs, child)
    assert ids(await lists.stuck(owner_id=OWNER)) == [parent.id, *ids(stuck)]


async def test_run_that_changed_lately_is_not_stuck(runs: Runs, lists: RunListRepository) -> None:
    run = await works(runs, "film")
    assert await lists.stuck(owner_id=OWNER) == []
    assert ids(await lists.stuck(owner_id=OWNER, unchanged_for=AT_ONCE)) == [run.id]
    now = await runs.database.server_time()
    await rests(runs, run, since=now - timedelta(seconds=59))
    assert await lists.stuck(owner_id=OWNER, unchanged_for=timedelta(minutes=2)) == []
    await rests(runs, run, since=now - timedelta(seconds=61))
    assert ids(await lists.stuck(owner_id=OWNER)) == [run.id]


async def test_stuck_runs_come_in_pages(runs: Runs, lists: RunListRepository) -> None:
    made = [await works(runs, f"film {number}") for number in range(5)]
    await rests(runs, *made)
    first = await lists.stuck_for_operators(limit=2)
    rest = await lists.stuck_for_operators(before=first[-1].place)

    assert ids(first + rest) == sorted(ids(made))


@pytest.mark.parametrize("before", ["", "wf_1", "12:", ":wf_1", "x:wf_1", "1" * 20 + ":wf_1", "\x00"])
async def test_malformed_place_is_refused(lists: RunListRepository, before: str) -> None:
    for call in (lists.by_activity, lists.waiting, lists.stuck):
        with pytest.raises(InvalidDataError, match="before"):
            await call(owner_id=OWNER, before=before)


async def test_unreadable_run_is_passed_over(runs: Runs, lists: RunListRepository) -> None:
    made = [await works(runs, f"film {number}") for number in range(3)]
    damaged = {"_id": uuid7_str("wf_"), "owner_id": OWNER, "status": "processing", "listed": True}
    await runs.database.collection("workflow_runs").insert_one(damaged | {"updated_at": LONG_AGO})
    await rests(runs, *made)

    assert len(await lists.by_activity(owner_id=OWNER, limit=3)) == 3
    assert len(await lists.stuck(owner_id=OWNER, limit=3)) == 3
