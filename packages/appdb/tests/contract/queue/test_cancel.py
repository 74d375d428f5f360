"""Cancelling: final, whoever else writes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from appdb import ConflictError, Lease, LeaseLostError, NotFoundError, TaskEventType, TaskState
from appdb.models import TaskFilter
from appsupport.queue.queue_contract import OTHER, OWNER, Subject, new_task


@pytest.mark.parametrize("state", [TaskState.SCHEDULED, TaskState.QUEUED, TaskState.PROCESSING])
async def test_cancelled_live_task_stays_cancelled(subject: Subject, state: TaskState) -> None:
    delay = timedelta(seconds=10 if state is TaskState.SCHEDULED else 0)
    task = await subject.queue.enqueue(new_task(delay=delay))
    leases = [Lease.of(found) for found in await subject.claim()] if state is TaskState.PROCESSING else []
    cancelled = await subject.queue.cancel(task.id, owner_id=OWNER)
    again = await subject.queue.cancel(task.id, owner_id=OWNER)
    await subject.pass_time(20)

    assert cancelled == again
    assert (cancelled.state, cancelled.lease) == (TaskState.CANCELLED, None)
    assert cancelled.finished_at is not None
    for lease in leases:
        with pytest.raises(LeaseLostError):
            await subject.queue.complete(lease)
    assert (await subject.queue.promote(), await subject.claim()) == (0, [])
    assert await subject.log(task) == [TaskEventType.CANCELLED]


@pytest.mark.parametrize("how", ["completed", "failed"])
async def test_final_task_cannot_be_cancelled(subject: Subject, how: str) -> None:
    task, lease = await subject.claimed()
    if how == "completed":
        await subject.queue.complete(lease)
    else:
        await subject.queue.fail(lease, "Broken", "no", retry_in=None)
    with pytest.raises(ConflictError, match=f"already {how}"):
        await subject.queue.cancel(task.id, owner_id=OWNER)

    assert await subject.state(task) == how


async def test_missing_task_cannot_be_cancelled(subject: Subject) -> None:
    with pytest.raises(NotFoundError, match="tq_missing"):
        await subject.queue.cancel("tq_missing", owner_id=OWNER)


async def test_concurrent_cancel_and_complete_have_one_winner(subject: Subject) -> None:
    for _ in range(5):
        task, lease = await subject.claimed()
        outcomes = await asyncio.gather(
            subject.queue.complete(lease), subject.queue.cancel(task.id, owner_id=OWNER), return_exceptions=True
        )
        final = await subject.get(task)

        assert sum(isinstance(outcome, LeaseLostError | ConflictError) for outcome in outcomes) == 1
        assert await subject.log(task) == [TaskEventType(final.state.value)]


async def test_cancel_many_by_filter_ends_at_zero(subject: Subject) -> None:
    await subject.queue.enqueue_many([new_task() for _ in range(5)])
    other = await subject.queue.enqueue(new_task(actor="paint"))
    theirs = await subject.queue.enqueue(new_task(owner_id=OTHER))
    await subject.claim()
    match = TaskFilter(owner_id=OWNER, actor="echo")
    counts = [(await subject.queue.cancel_many(match, limit=2)).count for _ in range(4)]

    assert counts == [2, 2, 1, 0]
    assert await subject.state(other) is TaskState.QUEUED
    assert (await subject.queue.get(theirs.id, owner_id=OTHER)).state is TaskState.QUEUED
    cancelled = await subject.queue.page(owner_id=OWNER, states=[TaskState.CANCELLED])
    assert len(cancelled) == 5
    for task in cancelled:
        assert await subject.log(task) == [TaskEventType.CANCELLED]


async def test_cancel_many_leaves_other_states_alone(subject: Subject) -> None:
    done = await subject.failed()
    held, lease = await subject.claimed()
    waiting = await subject.queue.enqueue(new_task())
    count = (await subject.queue.cancel_many(TaskFilter(owner_id=OWNER, states=frozenset({TaskState.QUEUED})))).count

    assert count == 1
    assert await subject.state(done) is TaskState.FAILED
    assert await subject.queue.renew([lease]) == set()
    assert await subject.state(held) is TaskState.PROCESSING
    assert await subject.state(waiting) is TaskState.CANCELLED


async def test_tasks_of_run_are_found_and_cancelled(subject: Subject) -> None:
    for run_id in ("wf_1", "wf_2"):
        await subject.open_run(run_id, OWNER)
    tasks = [await subject.queue.enqueue(new_task(run_id=run_id)) for run_id in ("wf_1", "wf_1", "wf_2", None)]
    of_run = TaskFilter(owner_id=OWNER, run_id="wf_1")

    assert {task.id for task in await subject.queue.find(of_run)} == {task.id for task in tasks[:2]}
    assert (await subject.queue.cancel_many(of_run)).count == 2
    assert (await subject.queue.cancel_many(of_run)).count == 0
    live = await subject.queue.find(TaskFilter(owner_id=OWNER, states=frozenset({TaskState.QUEUED})))
    assert {task.run_id for task in live} == {"wf_2", None}
    assert (await subject.queue.replay(tasks[0].id, owner_id=OWNER)).run_id == "wf_1"


async def test_operator_cancels_for_every_owner(subject: Subject) -> None:
    await subject.queue.enqueue_many([new_task(), new_task(owner_id=OTHER), new_task(queue="keep")])

    assert (await subject.queue.cancel_many(TaskFilter(owner_id=None, queue="default"))).count == 2
