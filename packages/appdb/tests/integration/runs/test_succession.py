"""Succession: runs that wait in their project begin one by one, in the transaction that ends the one before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from appdb import ConflictError, Database, DbEventType, InvalidDataError, NewTask, NotFoundError, TaskState
from appdb.models import NewRun, Run, RunStatus, TaskFilter
from appsupport.mongo.round_trips import commands_sent
from appsupport.runs.run_checks import check_cache
from appsupport.runs.run_events import event, started, step_started
from appsupport.runs.run_repositories import OTHER, OWNER, Runs

E = DbEventType
ROUNDS = 50
LOOK = NewTask(owner_id=OWNER, actor="look", payload={"a": 1})
MOST = 100

End = Callable[[Runs, Run], Awaitable[object]]


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


@pytest.fixture
async def hosts(database: Database, mongo_uri: str) -> AsyncIterator[list[Runs]]:
    """Two hosts with connections of their own."""
    async with AsyncExitStack() as stack:
        yield [Runs(await stack.enter_async_context(Database(mongo_uri, database.name))) for _ in range(2)]


async def wait(runs: Runs, project: str = "film", **changes: Any) -> Run:
    return await runs.begin(project, on_begin=LOOK, **changes)


async def tasks_of(runs: Runs, run: Run) -> list[Any]:
    return await runs.queue.find(TaskFilter(owner_id=OWNER, run_id=run.id))


async def complete(runs: Runs, run: Run) -> None:
    await runs.append(run, event(E.WORKFLOW_COMPLETED))


async def cancel(runs: Runs, run: Run) -> None:
    await runs.workflows.cancel(run.id, owner_id=OWNER)


async def cancel_by_status(runs: Runs, run: Run) -> None:
    await runs.workflows.set_status(run.id, RunStatus.CANCELLED, owner_id=OWNER, branch_id=run.branch_id)


async def cancel_in_transaction(runs: Runs, run: Run) -> None:
    async def body(session: Any) -> None:
        await runs.workflows.cancel(run.id, owner_id=OWNER, session=session)

    await runs.database.transaction(body)


async def fail_and_cancel(runs: Runs, run: Run) -> None:
    await runs.append(run, step_started("a"), event(E.WORKFLOW_ERROR))
    await cancel(runs, run)


async def delete(runs: Runs, run: Run) -> None:
    await runs.workflows.delete(run.id, owner_id=OWNER)


ENDS: tuple[End, ...] = (complete, cancel, cancel_by_status, cancel_in_transaction, fail_and_cancel, delete)
by_end = pytest.mark.parametrize("end", ENDS, ids=[one.__name__ for one in ENDS])


async def test_run_of_free_project_begins_at_once(runs: Runs) -> None:
    new = NewRun(project="film", on_begin=LOOK)
    run, made = await runs.workflows.open(new, owner_id=OWNER, events=[step_started("a")])

    assert (run.status, run.open, run.event_count, made) == (RunStatus.PROCESSING, True, 2, True)
    assert await tasks_of(runs, run) == []


async def test_run_behind_open_one_waits_and_is_seen(runs: Runs) -> None:
    first = await runs.begin()
    new = NewRun(project="film", on_begin=LOOK, data={"a": 1})
    (run, made), (again, made_again) = [
        await runs.workflows.open(new, owner_id=OWNER, events=[step_started("a")]) for _ in range(2)
    ]

    assert (run.id, run.status, run.open, run.completed_at) == (new.run_id, RunStatus.WAITING, False, None)
    assert (made, made_again, again) == (True, False, run)
    assert await runs.workflows.page(owner_id=OWNER, statuses=[RunStatus.WAITING]) == [run]
    assert (await runs.workflows.find_open("film", owner_id=OWNER) or run).id == first.id
    created, waiting = await runs.log(run)
    assert (created.data, waiting.type, waiting.data) == ({"a": 1}, E.WORKFLOW_WAITING, {"behind": first.id})
    check_cache(run, await runs.state(run))
    assert (await runs.database.recover_run(run.id, owner_id=OWNER, dry_run=True)).disagreements == ()
    with pytest.raises(NotFoundError):
        await runs.workflows.get(run.id, owner_id=OTHER)
    with pytest.raises(ConflictError, match="its id is taken"):
        await runs.workflows.open(replace(new, data={"a": 2}), owner_id=OWNER)


@by_end
async def test_end_of_run_begins_next_in_order(runs: Runs, end: End) -> None:
    first = await runs.begin()
    waiting = [await wait(runs) for _ in range(3)]
    elsewhere = await runs.begin("other")
    behind_it = await wait(runs, "other")
    open_run = first
    for number, following in enumerate(waiting):
        await end(runs, open_run)

        statuses = [(await runs.get(one)).status for one in waiting[number:]]
        assert statuses == [RunStatus.PROCESSING, *[RunStatus.WAITING] * (2 - number)]
        begun = await runs.get(following)
        assert begun.open
        check_cache(begun, await runs.state(following))
        assert [one.type for one in await runs.log(following)][1:] == [E.WORKFLOW_WAITING, E.WORKFLOW_RESUMED]
        (task,) = await tasks_of(runs, following)
        assert (task.actor, task.payload, task.state) == ("look", {"a": 1}, TaskState.QUEUED)
        open_run = following
    assert [(await runs.get(one)).status for one in (elsewhere, behind_it)] == [RunStatus.CREATED, RunStatus.WAITING]
    await end(runs, open_run)
    assert await runs.workflows.find_open("film", owner_id=OWNER) is None


async def test_failed_run_keeps_others_waiting(runs: Runs) -> None:
    first = await runs.begin()
    behind = await wait(runs)
    await runs.append(first, step_started("a"), started("a", "m"), event(E.WORKFLOW_ERROR))

    assert (await runs.get(behind)).status is RunStatus.WAITING


async def test_end_of_other_owners_or_child_run_begins_nothing(runs: Runs) -> None:
    first = await runs.begin()
    behind = await wait(runs)
    child = await runs.begin(parent_id=first.id)
    theirs, _ = await runs.workflows.open(NewRun(project="film"), owner_id=OTHER)
    await complete(runs, child)
    await runs.workflows.cancel(theirs.id, owner_id=OTHER)

    assert (await runs.get(behind)).status is RunStatus.WAITING


@pytest.mark.parametrize("end", [cancel, delete])
async def test_waiting_run_that_is_given_up_never_begins(runs: Runs, end: End) -> None:
    first = await runs.begin()
    given_up, last = await wait(runs), await wait(runs)
    await end(runs, given_up)
    await complete(runs, first)

    assert (await runs.get(last)).open
    assert await tasks_of(runs, given_up) == []
    if end is cancel:
        assert (await runs.get(given_up)).status is RunStatus.CANCELLED


async def test_run_in_place_of_open_one_goes_before_those_that_wait(runs: Runs) -> None:
    first = await runs.begin()
    behind = await wait(runs)
    urgent = await runs.begin(fresh=True)

    assert (await runs.get(first)).status is RunStatus.CANCELLED
    assert ((await runs.get(urgent)).open, (await runs.get(behind)).status) == (True, RunStatus.WAITING)
    await complete(runs, urgent)
    assert (await runs.get(behind)).open


async def test_run_that_ends_as_it_begins_hands_over_too(runs: Runs) -> None:
    await runs.begin()
    behind = await wait(runs)
    new = NewRun(project="film", fresh=True)
    run, _ = await runs.workflows.open(new, owner_id=OWNER, events=[event(E.WORKFLOW_COMPLETED)])

    assert (run.status, (await runs.get(behind)).open) == (RunStatus.COMPLETED, True)


async def test_too_many_waiting_runs_are_refused(runs: Runs) -> None:
    await runs.begin()
    waiting = [await wait(runs) for _ in range(MOST)]

    with pytest.raises(ConflictError, match="100 wait already") as caught:
        await wait(runs)
    assert caught.value.kind == "runs waiting in project"
    await cancel(runs, waiting[0])
    assert (await wait(runs)).status is RunStatus.WAITING


async def test_waiting_run_takes_no_work_before_it_begins(runs: Runs) -> None:
    await runs.begin()
    run = await wait(runs)

    with pytest.raises(ConflictError, match="another run of its project is open"):
        await runs.append(run, event(E.WORKFLOW_RESUMED))
    with pytest.raises(ConflictError, match="another run of its project is open"):
        await runs.workflows.reset(run.id, owner_id=OWNER, branch_id=run.branch_id)
    with pytest.raises(InvalidDataError, match="only a new run waits"):
        await runs.append(await runs.begin("other"), event(E.WORKFLOW_WAITING))
    await runs.append(run, event(E.SIGNAL_RECEIVED, name="news", signal_id="s1"))
    assert (await runs.get(run)).status is RunStatus.WAITING


async def test_task_of_beginning_has_owner_of_run_and_no_key(runs: Runs) -> None:
    await runs.begin()

    with pytest.raises(InvalidDataError, match="same owner"):
        await runs.begin(on_begin=replace(LOOK, owner_id=OTHER))
    with pytest.raises(InvalidDataError, match="no unique_key"):
        await runs.begin(on_begin=replace(LOOK, unique_key="k"))


@pytest.mark.parametrize("more", [{"fresh": True}, {"parent_id": "wf_1"}])
async def test_wait_of_fresh_run_or_part_is_refused(runs: Runs, more: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError, match="does not wait"):
        await wait(runs, **more)


async def test_end_without_waiting_runs_costs_one_read_more(runs: Runs) -> None:
    run = await runs.begin()
    with commands_sent() as sent:
        await runs.events.append(run.id, [event(E.WORKFLOW_COMPLETED)], owner_id=OWNER, branch_id=run.branch_id)

    assert sent == ["findAndModify", "insert", "find", "commitTransaction"]


async def test_unreadable_waiting_run_holds_up_nobody(runs: Runs) -> None:
    first = await runs.begin()
    damaged, behind = await wait(runs), await wait(runs)
    collection = runs.database.collection("workflow_runs")
    await collection.update_one({"_id": damaged.id}, {"$set": {"branch_id": 7}})
    await complete(runs, first)

    assert (await runs.get(behind)).open


async def test_run_left_behind_by_older_host_begins_later(runs: Runs) -> None:
    first, behind = await runs.begin(), await wait(runs)
    await runs.begin("other")
    await wait(runs, "other")
    # As hosts of 0.3.0 end a run.
    ended = {"status": "cancelled", "position.ended": "cancelled", "open": False}
    await runs.database.collection("workflow_runs").update_one({"_id": first.id}, {"$set": ended})

    assert await runs.workflows.begin_waiting() == 0
    assert await runs.workflows.begin_waiting(older_than=timedelta(0)) == 1
    assert await runs.workflows.begin_waiting(older_than=timedelta(0)) == 0
    assert (await runs.get(behind)).open
    assert len(await tasks_of(runs, behind)) == 1


@by_end
async def test_race_of_end_and_wait_loses_and_doubles_nothing(hosts: list[Runs], end: End) -> None:
    one, other = hosts
    for number in range(ROUNDS):
        project = f"film {number}"
        first = await one.begin(project)
        new = [NewRun(project=project, on_begin=LOOK) for _ in range(3)]

        async def opened(host: Runs, run: NewRun) -> Run:
            return (await host.workflows.open(run, owner_id=OWNER))[0]

        _, *started_runs = await asyncio.gather(
            end(one, first), opened(other, new[0]), opened(one, new[1]), opened(other, new[2])
        )
        order: list[str] = []
        while (current := await one.workflows.find_open(project, owner_id=OWNER)) is not None:
            assert current.id not in order
            order.append(current.id)
            await complete(other, current)
        assert sorted(order) == sorted(run.run_id for run in new)
        waited = [run for run in started_runs if run.status is RunStatus.WAITING]
        for run in waited:
            assert len(await tasks_of(one, run)) == 1
        waited_ids = [row["_id"] async for row in _in_order(one, [run.id for run in waited])]
        assert [run_id for run_id in order if run_id in waited_ids] == waited_ids


def _in_order(runs: Runs, run_ids: list[str]) -> Any:
    return runs.database.collection("workflow_runs").find({"_id": {"$in": run_ids}}).sort([("waiting_number", 1)])


async def test_race_of_end_and_cancel_of_next_begins_one_after_it(hosts: list[Runs]) -> None:
    one, other = hosts
    for number in range(ROUNDS):
        project = f"film {number}"
        first = await one.begin(project)
        given_up, last = await wait(one, project), await wait(one, project)

        await asyncio.gather(complete(one, first), cancel(other, given_up))

        assert (await one.get(given_up)).status is RunStatus.CANCELLED
        assert (await one.get(last)).open
        assert len(await tasks_of(one, last)) == 1
