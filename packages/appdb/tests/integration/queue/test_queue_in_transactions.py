"""Calls of a task queue in a caller's transaction: they happen with its other writes, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest

from appdb import (
    ConflictError,
    ContentRepository,
    Database,
    Lease,
    LeaseLostError,
    NewEvent,
    NewTask,
    NotFoundError,
    Task,
    TaskEventType,
    TaskQueue,
    TaskState,
)
from appdb.models import GenerationStatus
from appsupport.queue.queue_contract import OTHER, OWNER, STARTED, claimer, new_task
from appsupport.runs.run_repositories import open_run

RACES = 12
Body = Callable[[Any], Awaitable[Any]]


class ChangedMyMindError(Exception):
    """Ends a caller's transaction."""


@pytest.fixture
def queue(database: Database) -> TaskQueue:
    return TaskQueue(database)


async def claimed(queue: TaskQueue, **changes: Any) -> tuple[Task, Lease]:
    await queue.enqueue(new_task(**changes))
    (task,) = await queue.claim(claimer())
    return task, Lease.of(task)


async def abort(database: Database, body: Body) -> None:
    async def then_abort(session: Any) -> None:
        await body(session)
        raise ChangedMyMindError

    with pytest.raises(ChangedMyMindError):
        await database.transaction(then_abort)


CALLS: dict[str, Callable[[TaskQueue, Lease, Any], Awaitable[Any]]] = {
    "enqueue_many": lambda queue, _, session: queue.enqueue_many(
        [new_task(), new_task(unique_key="k")], session=session
    ),
    "complete": lambda queue, lease, session: queue.complete(lease, {"n": 1}, events=[STARTED], session=session),
    "fail": lambda queue, lease, session: queue.fail(lease, "Broken", "no", retry_in=None, session=session),
    "retry later": lambda queue, lease, session: queue.fail(
        lease, "Broken", "no", retry_in=timedelta(hours=1), session=session
    ),
    "cancel": lambda queue, lease, session: queue.cancel(lease.task_id, owner_id=OWNER, session=session),
}


@pytest.mark.parametrize("name", CALLS)
async def test_call_in_aborted_transaction_leaves_nothing(queue: TaskQueue, database: Database, name: str) -> None:
    task, lease = await claimed(queue, then=(new_task(task_id="tq_then"),))
    before = await database.raw["tasks"].find({}).to_list(None)
    await abort(database, lambda session: CALLS[name](queue, lease, session))

    assert await database.raw["tasks"].find({}).to_list(None) == before
    assert await queue.events(task.id) == []
    await queue.complete(lease)


async def test_completion_in_transaction_takes_its_dependents_along(queue: TaskQueue, database: Database) -> None:
    contents = ContentRepository(database)
    parent, holder = await claimed(queue)
    child_id = await queue.spawn(holder, "child", new_task(then=(new_task(task_id="tq_then"),)))
    await queue.suspend(holder)
    (child,) = await queue.claim(claimer())
    await contents.begin(Lease.of(child), child, operation="txt2img", provider="p", source_data={})

    async def body(session: Any) -> None:
        await queue.complete(Lease.of(child), {"n": 1}, events=[STARTED], session=session)
        assert (await queue.get(child_id, owner_id=OWNER, session=session)).state is TaskState.COMPLETED
        assert (await queue.get(child_id, owner_id=OWNER)).state is TaskState.PROCESSING

    await database.transaction(body)

    assert (await queue.get(child_id, owner_id=OWNER)).result == {"n": 1}
    assert (await queue.get(parent.id, owner_id=OWNER)).state is TaskState.QUEUED
    assert (await queue.get("tq_then", owner_id=OWNER)).state is TaskState.QUEUED
    assert (await contents.generation(child_id, owner_id=OWNER)).status is GenerationStatus.COMPLETED
    assert [event.type for event in await queue.events(child_id)] == [TaskEventType.STARTED, TaskEventType.COMPLETED]


async def test_last_attempt_fails_for_good_in_transaction(queue: TaskQueue, database: Database) -> None:
    task, lease = await claimed(queue, max_attempts=1)

    async def body(session: Any) -> None:
        await queue.fail(lease, "Broken", "no", retry_in=timedelta(0), session=session)

    await database.transaction(body)

    assert (await queue.get(task.id, owner_id=OWNER)).state is TaskState.FAILED


@pytest.mark.parametrize("name", ["complete", "fail", "retry later"])
async def test_lost_lease_ends_transaction(queue: TaskQueue, database: Database, name: str) -> None:
    task, lease = await claimed(queue)
    await queue.cancel(task.id, owner_id=OWNER)

    async def body(session: Any) -> None:
        await database.raw["orders"].insert_one({"_id": "order"}, session=session)
        await CALLS[name](queue, lease, session)

    with pytest.raises(LeaseLostError):
        await database.transaction(body)
    assert await database.raw["orders"].count_documents({}) == 0


@pytest.mark.parametrize("name", ["complete", "fail", "retry later", "cancel"])
async def test_repeated_end_in_transaction_changes_nothing(queue: TaskQueue, database: Database, name: str) -> None:
    parent, holder = await claimed(queue)
    await queue.spawn(holder, "child", new_task())
    (child,) = await queue.claim(claimer())

    async def body(session: Any) -> None:
        await CALLS[name](queue, Lease.of(child), session)

    for _ in range(2):
        await database.transaction(body)

    assert len(await queue.events(child.id)) == 1 + (name == "complete")
    assert (await queue.get(parent.id, owner_id=OWNER)).children_open == (name == "retry later")


async def test_completion_and_cancel_race_for_one_end(queue: TaskQueue, database: Database) -> None:
    tasks = [await claimed(queue) for _ in range(RACES)]

    async def complete(lease: Lease) -> bool:
        async def body(session: Any) -> None:
            await queue.complete(lease, {"n": 1}, session=session)
            await database.raw["orders"].insert_one({"_id": lease.task_id}, session=session)

        try:
            await database.transaction(body)
        except LeaseLostError:
            return False
        return True

    async def cancel(task: Task) -> bool:
        try:
            await queue.cancel(task.id, owner_id=OWNER)
        except ConflictError:
            return False
        return True

    answers = await asyncio.gather(*(asyncio.gather(complete(lease), cancel(task)) for task, lease in tasks))
    states = [(await queue.get(task.id, owner_id=OWNER)).state for task, _ in tasks]
    orders = {row["_id"] async for row in database.raw["orders"].find({})}

    assert all(sorted(pair) == [False, True] for pair in answers)
    assert [state is TaskState.COMPLETED for state in states] == [completed for completed, _ in answers]
    assert orders == {task.id for (task, _), (completed, _) in zip(tasks, answers, strict=True) if completed}


@pytest.mark.parametrize("aborts", [False, True])
async def test_cancel_waits_for_transaction_that_completes(
    queue: TaskQueue, database: Database, *, aborts: bool
) -> None:
    task, lease = await claimed(queue)
    written, may_end = asyncio.Event(), asyncio.Event()

    async def body(session: Any) -> None:
        await queue.complete(lease, session=session)
        written.set()
        await may_end.wait()
        if aborts:
            raise ChangedMyMindError

    completing = asyncio.create_task(database.transaction(body))
    await written.wait()
    cancelling = asyncio.create_task(queue.cancel(task.id, owner_id=OWNER))
    done, _ = await asyncio.wait({cancelling}, timeout=0.3)
    may_end.set()
    answers = await asyncio.gather(completing, cancelling, return_exceptions=True)

    assert not done
    assert isinstance(answers[0], ChangedMyMindError) is aborts
    assert isinstance(answers[1], ConflictError) is not aborts


async def test_cancel_in_transaction_takes_all_below_along(queue: TaskQueue, database: Database) -> None:
    parent, holder = await claimed(queue)
    child_id = await queue.spawn(holder, "child", new_task())
    (child,) = await queue.claim(claimer())
    grandchild_id = await queue.spawn(Lease.of(child), "child", new_task())

    async def body(session: Any) -> Task:
        return await queue.cancel(parent.id, owner_id=OWNER, session=session)

    await abort(database, body)
    alive = {(await queue.get(one, owner_id=OWNER)).state for one in (parent.id, child_id, grandchild_id)}
    cancelled = await database.transaction(body)
    ended = {(await queue.get(one, owner_id=OWNER)).state for one in (parent.id, child_id, grandchild_id)}

    assert cancelled.state is TaskState.CANCELLED
    assert TaskState.CANCELLED not in alive
    assert ended == {TaskState.CANCELLED}


@pytest.mark.parametrize("owner_id", [OWNER, OTHER])
async def test_cancel_in_transaction_refuses_as_outside(queue: TaskQueue, database: Database, owner_id: str) -> None:
    task, lease = await claimed(queue)
    await queue.complete(lease)

    async def body(session: Any) -> Task:
        return await queue.cancel(task.id, owner_id=owner_id, session=session)

    with pytest.raises(ConflictError if owner_id == OWNER else NotFoundError):
        await database.transaction(body)


async def test_many_tasks_in_transaction_give_first_ids(queue: TaskQueue, database: Database) -> None:
    first = await queue.enqueue(new_task(unique_key="k"))
    there = await queue.enqueue(new_task(task_id="tq_there"))
    new = [
        new_task(unique_key="k"),
        new_task(task_id="tq_there"),
        new_task(task_id="tq_new", delay=timedelta(hours=1)),
        new_task(unique_key="new", task_id="tq_keyed"),
        new_task(unique_key="new", task_id="tq_double"),
    ]

    async def body(session: Any) -> list[str]:
        return await queue.enqueue_many(new, session=session)

    assert await database.transaction(body) == [first.id, there.id, "tq_new", "tq_keyed", "tq_keyed"]
    assert {task.id for task in await queue.page(owner_id=OWNER)} == {first.id, there.id, "tq_new", "tq_keyed"}
    assert (await queue.get("tq_new", owner_id=OWNER)).state is TaskState.SCHEDULED


@pytest.mark.parametrize(
    "refused",
    [
        new_task(task_id="tq_others"),
        new_task(unique_key="k", payload={"text": "other"}),
        new_task(run_id="wf_none"),
    ],
    ids=["id", "key", "run"],
)
async def test_refused_task_keeps_all_out(queue: TaskQueue, database: Database, refused: NewTask) -> None:
    await queue.enqueue(new_task(task_id="tq_others", owner_id=OTHER))
    await queue.enqueue(new_task(unique_key="k"))

    async def body(session: Any) -> list[str]:
        return await queue.enqueue_many([new_task(task_id="tq_first"), refused], session=session)

    with pytest.raises((ConflictError, NotFoundError)):
        await database.transaction(body)
    with pytest.raises(NotFoundError):
        await queue.get("tq_first", owner_id=OWNER)


async def test_tasks_of_run_join_its_transaction(queue: TaskQueue, database: Database) -> None:
    run_id = await open_run(database, "wf_1")

    async def body(session: Any) -> list[str]:
        return await queue.enqueue_many([new_task(run_id=run_id), new_task()], session=session)

    ids = await database.transaction(body)

    assert [(await queue.get(one, owner_id=OWNER)).run_id for one in ids] == [run_id, None]


async def test_heavy_log_is_archived_in_transaction(queue: TaskQueue, database: Database) -> None:
    task, lease = await claimed(queue)
    events = [NewEvent(type=TaskEventType.CHUNK, data={"n": n}) for n in range(100)]
    await queue.append_events(lease, events[:60], seq=0)

    async def body(session: Any) -> None:
        await queue.complete(lease, events=events[60:] + events[:60], session=session)

    await abort(database, body)
    await database.transaction(body)
    found = await queue.events(task.id)
    stored = await database.raw["tasks"].find_one({"_id": task.id})

    assert [event.data["n"] for event in found[:-1]] == [*range(100), *range(60)]
    assert stored is not None
    assert stored["tail"] == []


@pytest.mark.parametrize("ends_by", ["completion in transaction", "loss in transaction", "loss"])
async def test_ended_attempt_leaves_no_counts(queue: TaskQueue, database: Database, ends_by: str) -> None:
    task, lease = await claimed(queue)
    await queue.append_events(lease, [STARTED], seq=0)
    if "loss" in ends_by:
        await queue.cancel(task.id, owner_id=OWNER)

    async def body(session: Any) -> None:
        await queue.complete(lease, session=session)

    with nullcontext() if ends_by == "completion in transaction" else pytest.raises(LeaseLostError):
        await (queue.complete(lease) if ends_by == "loss" else database.transaction(body))
    assert queue._committer._carried == {}
