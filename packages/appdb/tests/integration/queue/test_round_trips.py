"""Round trips of the queue in a caller's transaction: a few, however many tasks there are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from appdb import (
    ConflictError,
    Database,
    DbEventType,
    EventRepository,
    Lease,
    NewTask,
    NotFoundError,
    TaskQueue,
    TaskState,
    WorkflowRepository,
)
from appdb.models import NewRunEvent, TaskFilter
from appsupport.mongo.round_trips import commands_sent
from appsupport.queue.queue_contract import OTHER, OWNER, claimer, new_task
from appsupport.runs.run_repositories import open_run

RUN = TaskFilter(owner_id=OWNER, run_id="wf_1")
WAKE = NewTask(owner_id=OWNER, actor="echo", payload={}, queue="after")


@pytest.fixture
async def queue(database: Database) -> TaskQueue:
    await open_run(database, "wf_1", owner_id=OWNER)
    return TaskQueue(database)


def tasks_of_run(number: int, **changes: Any) -> list[NewTask]:
    return [new_task(task_id=f"tq_{at}", run_id="wf_1", **changes) for at in range(number)]


@pytest.mark.parametrize("number", [1, 50])
async def test_append_with_its_tasks_is_four_round_trips(queue: TaskQueue, database: Database, number: int) -> None:
    events = EventRepository(database)
    run = await WorkflowRepository(database).get("wf_1", owner_id=OWNER)
    started = [NewRunEvent(type=DbEventType.STEP_STARTED, step="one")]
    with commands_sent() as sent:

        async def body(session: Any) -> list[str]:
            await events.append(
                run.id, started, owner_id=OWNER, branch_id=run.branch_id, expected_seq=run.event_count, session=session
            )
            return await queue.enqueue_many(tasks_of_run(number), session=session)

        ids = await database.transaction(body)

    assert sent == ["findAndModify", "insert", "update", "commitTransaction"]
    assert ids == [f"tq_{at}" for at in range(number)]


async def test_repeated_ids_give_first_tasks(queue: TaskQueue, database: Database) -> None:
    tasks = tasks_of_run(20)
    await queue.enqueue_many(tasks[:10])
    (held,) = await queue.claim(claimer())
    await queue.complete(Lease.of(held))
    with commands_sent() as sent:
        ids = await database.transaction(lambda session: queue.enqueue_many(tasks, session=session))

    # The run, all tasks, and one look at whose those are that were there.
    assert sent == ["findAndModify", "update", "find", "commitTransaction"]
    assert ids == [task.task_id for task in tasks]
    assert (await queue.get(held.id, owner_id=OWNER)).state is TaskState.COMPLETED


async def test_repeated_id_of_another_owner_is_refused(queue: TaskQueue, database: Database) -> None:
    await queue.enqueue(new_task(task_id="tq_1", owner_id=OTHER))
    with pytest.raises(ConflictError):
        await database.transaction(lambda session: queue.enqueue_many(tasks_of_run(3), session=session))

    assert (await queue.find(RUN)) == []


async def test_lock_is_taken_again_when_transaction_begins_again(queue: TaskQueue, database: Database) -> None:
    workflows, tries = WorkflowRepository(database), 0

    async def body(session: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            await workflows.delete("wf_1", owner_id=OWNER)
        await queue.enqueue_many(tasks_of_run(3), session=session)
        raise OperationFailure("interrupted", 112, {"errorLabels": ["TransientTransactionError"]})

    with pytest.raises(NotFoundError):
        await database.transaction(body)

    assert (tries, await queue.find(RUN)) == (2, [])


async def test_cancel_of_many_that_never_ran_is_two_round_trips(queue: TaskQueue, database: Database) -> None:
    await queue.enqueue_many(tasks_of_run(200))
    with commands_sent() as sent:
        answer = await database.transaction(lambda session: queue.cancel_many(RUN, session=session))

    assert sent == ["find", "update", "commitTransaction"]
    assert (answer.count, answer.more) == (200, False)
    assert {task.state for task in await queue.find(RUN, limit=500)} == {TaskState.CANCELLED}


async def test_completion_of_queued_is_two_round_trips(queue: TaskQueue) -> None:
    await queue.enqueue_many(tasks_of_run(200))
    with commands_sent() as sent:
        count = await queue.complete_queued(RUN)

    assert sent == ["find", "update", "commitTransaction"]
    assert count == 200
    assert {task.state for task in await queue.find(RUN, limit=500)} == {TaskState.COMPLETED}


async def test_cancel_of_many_with_dependents_does_not_grow(queue: TaskQueue, database: Database) -> None:
    counts = []
    for number in (2, 30):
        await queue.enqueue_many([new_task(run_id="wf_1", on_end=(WAKE,)) for _ in range(number)])
        held = await queue.claim(claimer(), limit=number)
        for task in held[: number // 2]:
            await queue.spawn(Lease.of(task), "child", new_task(on_end=(WAKE,), delay=timedelta(hours=1)))
        with commands_sent() as sent:
            await database.transaction(
                lambda session: queue.cancel_many(
                    TaskFilter(owner_id=OWNER, queue="default", states=frozenset({TaskState.PROCESSING})),
                    session=session,
                )
            )
        counts.append(len(sent) - number // 2)

    # A notification for each parent, and else the same for all.
    assert counts[0] == counts[1]
    assert len(await queue.find(TaskFilter(owner_id=OWNER, queue="after"), limit=500)) == 2 + 1 + 30 + 15


async def test_end_that_wakes_is_three_round_trips(queue: TaskQueue) -> None:
    await queue.enqueue(new_task(run_id="wf_1", on_end=(WAKE,)))
    (held,) = await queue.claim(claimer())
    with commands_sent() as sent:
        await queue.complete(Lease.of(held))

    assert sent == ["findAndModify", "update", "commitTransaction"]
