"""Cancelling a run: final at once, with its tasks and child runs, however often it is cut off."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from appdb import (
    AppDbError,
    Claimer,
    ConflictError,
    Database,
    Lease,
    NewTask,
    NotFoundError,
    Task,
    TaskState,
)
from appdb import DbEventType as E
from appdb._driver import Session
from appdb.models import LIVE_STATES, Run, RunStatus, TaskFilter
from appdb.runs import cancel as cancelling
from appsupport.runs.rich_runs import KilledError
from appsupport.runs.run_events import answered, asked, event, started, step_started
from appsupport.runs.run_repositories import OTHER, OWNER, Runs

AT_ONCE = timedelta(0)
ROUNDS = 50
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


async def works(runs: Runs, run: Run, tasks: int = 1) -> None:
    """Give a run live tasks."""
    await runs.queue.enqueue_many(
        [NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=run.id) for _ in range(tasks)]
    )


async def live(runs: Runs) -> int:
    return len(await runs.queue.find(TaskFilter(owner_id=OWNER, states=LIVE_STATES), limit=1_000))


async def cancelled_events(runs: Runs, run: Run) -> int:
    return sum(one.type is E.WORKFLOW_CANCELLED for one in await runs.log(run))


async def test_cancel_ends_run_tasks_and_children(runs: Runs) -> None:
    run = await runs.begin()
    child = await runs.begin("sub", parent_id=run.id)
    grandchild = await runs.begin("sub", parent_id=child.id)
    other = await runs.begin("other")
    for worker, tasks in ((run, 3), (child, 2), (grandchild, 1), (other, 1)):
        await works(runs, worker, tasks)

    assert (await runs.workflows.cancel(run.id, owner_id=OWNER)).status is RunStatus.CANCELLED

    assert [(await runs.get(one)).status for one in (child, grandchild)] == [RunStatus.CANCELLED] * 2
    assert (await runs.get(other)).status is RunStatus.CREATED
    assert [task.run_id for task in await runs.queue.find(TaskFilter(owner_id=OWNER, states=LIVE_STATES))] == [other.id]
    assert await runs.workflows.finish_cancels(older_than=AT_ONCE) == 0


async def test_more_tasks_than_one_transaction_takes_are_stopped(runs: Runs) -> None:
    run = await runs.begin()
    await works(runs, run, 3 * cancelling.STOPPED_AT_ONCE)
    await runs.workflows.cancel(run.id, owner_id=OWNER)

    assert await live(runs) == 0


async def test_repeated_cancel_appends_nothing_twice(runs: Runs) -> None:
    run = await runs.begin()
    for _ in range(3):
        again = await runs.workflows.cancel(run.id, owner_id=OWNER, event_id="evt_cancel", data={"by": "usr_a"})
        assert again.status is RunStatus.CANCELLED

    assert await cancelled_events(runs, run) == 1


@pytest.mark.parametrize("status", [RunStatus.AWAITING_INPUT, RunStatus.TARGET_REACHED, RunStatus.VALIDATION_FAILED])
async def test_waiting_and_stopped_runs_can_be_cancelled(runs: Runs, status: RunStatus) -> None:
    run = await runs.begin()
    last = {
        RunStatus.AWAITING_INPUT: asked("a", "m", "f1"),
        RunStatus.TARGET_REACHED: event(E.WORKFLOW_TARGET_REACHED),
        RunStatus.VALIDATION_FAILED: event(E.WORKFLOW_VALIDATION_FAILED),
    }[status]
    await runs.append(run, step_started("a"), last)
    assert (await runs.get(run)).status is status

    ended = await runs.workflows.cancel(run.id, owner_id=OWNER)
    assert (ended.status, ended.open, ended.position.interaction_id) == (RunStatus.CANCELLED, False, None)


async def test_completed_and_strange_runs_are_refused(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, event(E.WORKFLOW_COMPLETED))
    await works(runs, run)

    with pytest.raises(ConflictError, match=f"workflow run {run.id}: it is completed"):
        await runs.workflows.cancel(run.id, owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await runs.workflows.cancel(run.id, owner_id=OTHER)
    assert await live(runs) == 1


async def test_transaction_of_caller_decides_with_cancel(runs: Runs) -> None:
    run = await runs.begin()
    await works(runs, run, 2)

    async def undone(session: Session) -> None:
        await runs.workflows.cancel(run.id, owner_id=OWNER, session=session)
        raise KilledError

    with pytest.raises(KilledError):
        await runs.database.transaction(undone)
    assert (await runs.get(run)).status is RunStatus.CREATED
    assert await live(runs) == 2

    await runs.database.transaction(lambda session: runs.workflows.cancel(run.id, owner_id=OWNER, session=session))
    assert (await runs.get(run)).status is RunStatus.CANCELLED
    assert await live(runs) == 0


async def test_killed_cancel_is_final_and_finished_by_anybody(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    run = await runs.begin()
    child = await runs.begin("sub", parent_id=run.id)
    await works(runs, run, cancelling.STOPPED_AT_ONCE + 5)
    await works(runs, child, 5)

    async def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        # The first call after the run's own transaction.
        patch.setattr(cancelling.RunCanceller, "_stop_rest", killed)
        with pytest.raises(KilledError):
            await runs.workflows.cancel(run.id, owner_id=OWNER)
    assert (await runs.get(run)).status is RunStatus.CANCELLED
    assert await live(runs) == 10

    other_host = Runs(database)
    assert await other_host.workflows.finish_cancels() == 0  # it may still be under way
    assert await other_host.workflows.finish_cancels(older_than=AT_ONCE) == 1
    assert await live(runs) == 0
    assert (await runs.get(child)).status is RunStatus.CANCELLED
    assert await other_host.workflows.finish_cancels(older_than=AT_ONCE) == 0


async def test_cancel_killed_among_children_is_finished(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await runs.begin()
    children = [await runs.begin(f"sub {number}", parent_id=run.id) for number in range(3)]
    for worker in (run, *children):
        await works(runs, worker)
    stop_child, stopped = cancelling.RunCanceller._stop_child, list[str]()

    async def killed_at_second(canceller: cancelling.RunCanceller, parent_id: str, child: tuple[str, str]) -> None:
        if stopped:
            raise KilledError
        stopped.append(child[0])
        await stop_child(canceller, parent_id, child)

    with monkeypatch.context() as patch:
        patch.setattr(cancelling.RunCanceller, "_stop_child", killed_at_second)
        with pytest.raises(KilledError):
            await runs.workflows.cancel(run.id, owner_id=OWNER)
    assert await live(runs) == 2

    # The command again goes on where it was killed, and appends nothing twice.
    await runs.workflows.cancel(run.id, owner_id=OWNER)
    assert await live(runs) == 0
    assert [await cancelled_events(runs, one) for one in (run, *children)] == [1] * 4


async def test_run_cancelled_by_its_event_is_finished_too(runs: Runs) -> None:
    run = await runs.begin()
    await works(runs, run)
    await runs.append(run, event(E.WORKFLOW_CANCELLED))
    assert await live(runs) == 1

    assert await runs.workflows.finish_cancels(older_than=AT_ONCE) == 1
    assert await live(runs) == 0


async def test_run_that_goes_on_keeps_its_tasks(runs: Runs) -> None:
    run = await runs.begin()
    await runs.append(run, step_started("a"), event(E.WORKFLOW_CANCELLED))
    await runs.append(run, event(E.WORKFLOW_RESUMED))
    await works(runs, run)

    assert await runs.workflows.finish_cancels(older_than=AT_ONCE) == 0
    assert await live(runs) == 1


@pytest.fixture
async def hosts(database: Database, mongo_uri: str) -> AsyncIterator[list[Runs]]:
    """Two hosts with connections of their own."""
    async with AsyncExitStack() as stack:
        yield [Runs(await stack.enter_async_context(Database(mongo_uri, database.name))) for _ in range(2)]


async def claimed(runs: Runs, run: Run) -> Task:
    queue = f"queue-{run.id}"
    await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=run.id, queue=queue))
    (task,) = await runs.queue.claim(Claimer(worker_id="w1", queues=(queue,), handlers=("echo@1",)))
    return task


async def outcome(call: object) -> bool:
    """Return whether a call of ours was the one that went through; any other error is one of the test."""
    try:
        await call  # type: ignore[misc]
    except AppDbError:
        return False
    return True


async def test_cancel_and_answer_have_one_winner(hosts: list[Runs]) -> None:
    ours, theirs = hosts
    won: Counter[tuple[bool, bool]] = Counter()
    for number in range(ROUNDS):
        run = await ours.begin(f"film {number}")
        await ours.append(run, step_started("a"), started("a", "m"), asked("a", "m", "f1"))
        answer = theirs.events.append(run.id, [answered("f1")], owner_id=OWNER, branch_id=run.branch_id)
        cancel, reply = await asyncio.gather(outcome(ours.workflows.cancel(run.id, owner_id=OWNER)), outcome(answer))
        won[cancel, reply] += 1
        types = [one.type for one in await ours.log(run)]
        assert (E.INTERACTION_RESPONSE in types) is reply
        # The cancel goes through either way: after an answer, the run is still at work.
        assert types[-1] is E.WORKFLOW_CANCELLED
        assert (await theirs.get(run)).status is RunStatus.CANCELLED

    assert set(won) <= {(True, True), (True, False)}


async def test_cancel_and_completed_task_have_one_winner(hosts: list[Runs]) -> None:
    ours, theirs = hosts
    states: Counter[TaskState] = Counter()
    for number in range(ROUNDS):
        run = await ours.begin(f"film {number}")
        task = await claimed(ours, run)
        _, completed = await asyncio.gather(
            ours.workflows.cancel(run.id, owner_id=OWNER),
            outcome(theirs.queue.complete(Lease.of(task), {})),
        )
        stored = await ours.queue.get(task.id, owner_id=OWNER)
        states[stored.state] += 1
        assert stored.state is (TaskState.COMPLETED if completed else TaskState.CANCELLED)
        assert (await theirs.get(run)).status is RunStatus.CANCELLED

    assert sum(states.values()) == ROUNDS


async def test_cancel_and_end_of_run_have_one_winner(hosts: list[Runs]) -> None:
    ours, theirs = hosts
    for number in range(ROUNDS):
        run = await ours.begin(f"film {number}")
        end = theirs.events.append(run.id, [event(E.WORKFLOW_COMPLETED)], owner_id=OWNER, branch_id=run.branch_id)
        cancel, complete = await asyncio.gather(outcome(ours.workflows.cancel(run.id, owner_id=OWNER)), outcome(end))
        status = (await ours.get(run)).status
        assert (cancel, complete, status) in {
            (True, False, RunStatus.CANCELLED),
            (False, True, RunStatus.COMPLETED),
        }
