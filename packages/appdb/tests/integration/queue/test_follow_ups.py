"""Follow-ups of ends in the database: none is lost or doubled, whatever fails, races or is deleted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from appdb import (
    ConflictError,
    ContentRepository,
    Database,
    DatabaseUnavailableError,
    Lease,
    LeaseLostError,
    NewTask,
    Task,
    TaskEventType,
    TaskQueue,
    TaskState,
    WorkflowRepository,
)
from appdb.host import NO_RETRIES
from appdb.models import FINAL_STATES, LIVE_STATES, CancelledTasks, GenerationStatus, TaskFilter
from appsupport.mongo.fail_points import fail_point
from appsupport.mongo.stored_times import let_time_pass
from appsupport.queue.queue_contract import OWNER, claimer, new_task
from appsupport.runs.run_repositories import open_run

APP = "follow-ups"
LEASE = timedelta(seconds=30)
SOON = timedelta(seconds=10)
RUN, ELSEWHERE = "wf_1", "wf_2"
WAKE = NewTask(owner_id=OWNER, actor="echo", payload={}, queue="engine")
ENGINE = claimer("engine", queues=("engine",))
ENDED = TaskFilter(owner_id=OWNER, run_id=RUN, queue="default", states=frozenset(FINAL_STATES))
WAKES = TaskFilter(owner_id=OWNER, queue="engine")
RACES, TASKS, ROUNDS = 12, 40, 10


class ChangedMyMindError(Exception):
    """Ends a caller's transaction."""


@pytest.fixture
async def queue(database: Database) -> TaskQueue:
    for run_id in (RUN, ELSEWHERE):
        await open_run(database, run_id, owner_id=OWNER)
    return TaskQueue(database, lease=LEASE)


@pytest.fixture
async def cut_off(mongo_uri: str, database: Database) -> AsyncIterator[TaskQueue]:
    """The queue of a host whose commands can be made to fail."""
    timeout = timedelta(seconds=1)
    async with Database(
        mongo_uri, database.name, app_name=APP, retry_timeout=NO_RETRIES, operation_timeout=timeout
    ) as made:
        yield TaskQueue(made, lease=LEASE)


def of_run(**changes: Any) -> NewTask:
    return new_task(run_id=RUN, on_end=(WAKE,), **changes)


Ending = Callable[[TaskQueue, Task], Awaitable[object]]
ENDINGS: dict[str, tuple[dict[str, Any], Ending]] = {
    "complete": ({}, lambda queue, task: queue.complete(Lease.of(task))),
    "fail": ({}, lambda queue, task: queue.fail(Lease.of(task), "Broken", "no", retry_in=None)),
    "cancel": ({}, lambda queue, task: queue.cancel(task.id, owner_id=OWNER)),
    "cancel_many": ({}, lambda queue, _: queue.cancel_many(TaskFilter(owner_id=OWNER, queue="default"))),
    "recover": ({"max_attempts": 1}, lambda queue, _: queue.recover()),
    "expire": ({"expires_in": SOON}, lambda queue, _: queue.expire()),
}
NO_MAJORITY = {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
FAILURES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "commit is not confirmed": (["commitTransaction"], NO_MAJORITY),
    "connection is lost at a write": (["update", "findAndModify"], {"closeConnection": True}),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("ending", ENDINGS)
async def test_end_of_unknown_outcome_wakes_once(
    queue: TaskQueue, cut_off: TaskQueue, database: Database, ending: str, failure: str
) -> None:
    changes, end = ENDINGS[ending]
    task = await queue.enqueue(of_run(**changes))
    if ending != "expire":
        (task,) = await queue.claim(claimer())
    if ending in {"recover", "expire"}:
        await let_time_pass(database, LEASE * 2)
    commands, effect = FAILURES[failure]
    async with fail_point(database, APP, commands, **effect):
        with suppress(DatabaseUnavailableError):
            await end(cut_off, task)
    await end(cut_off, task)
    (wake,) = await queue.find(WAKES)

    assert (await queue.get(task.id, owner_id=OWNER)).state.final
    assert (wake.cause_id, wake.run_id, wake.state) == (task.id, RUN, TaskState.QUEUED)


async def test_deletion_of_run_leaves_no_follow_up_behind(queue: TaskQueue, database: Database) -> None:
    chain = new_task(queue="engine", on_end=(new_task(queue="engine"),))
    other = new_task(queue="engine", run_id=ELSEWHERE)
    for _ in range(3):
        await queue.enqueue(new_task(run_id=RUN, on_end=(chain, other)))
    (held,) = await queue.claim(claimer())
    await WorkflowRepository(database).delete(RUN, owner_id=OWNER)
    left = await queue.find(TaskFilter(owner_id=OWNER, states=LIVE_STATES))

    assert {task.run_id for task in left} == {ELSEWHERE}
    assert len({task.cause_id for task in left}) == len(left) == 3
    with pytest.raises(LeaseLostError):
        await queue.complete(Lease.of(held))


async def test_follow_up_for_deleted_run_is_left_out(queue: TaskQueue, database: Database) -> None:
    await queue.enqueue(new_task(on_end=(new_task(queue="engine", run_id=RUN), WAKE)))
    await WorkflowRepository(database).delete(RUN, owner_id=OWNER)
    (held,) = await queue.claim(claimer())
    await queue.complete(Lease.of(held))

    assert [task.run_id for task in await queue.find(WAKES)] == [None]


async def test_aborted_cancel_of_many_leaves_all_live(queue: TaskQueue, database: Database) -> None:
    await queue.enqueue_many([of_run(module=f"m{number % 2}") for number in range(10)])
    held = await queue.claim(claimer(), limit=4)
    child = await queue.spawn(Lease.of(held[0]), "child", new_task(queue="children", on_end=(WAKE,)))
    before = await database.raw["tasks"].find({}).sort("_id").to_list(None)
    match = TaskFilter(owner_id=OWNER, run_id=RUN, queue="default", module="m0")

    async def body(session: Any) -> CancelledTasks:
        return await queue.cancel_many(match, limit=4, session=session)

    async def then_abort(session: Any) -> None:
        await body(session)
        raise ChangedMyMindError

    with pytest.raises(ChangedMyMindError):
        await database.transaction(then_abort)
    after = await database.raw["tasks"].find({}).sort("_id").to_list(None)
    answers = [await database.transaction(body) for _ in range(2)]
    ended = await queue.find(TaskFilter(owner_id=OWNER, states=FINAL_STATES))

    assert after == before
    assert [(one.count, one.more) for one in answers] == [(4, True), (1, False)]
    assert {task.module for task in ended} == {"m0"}
    assert {task.state for task in ended} == {TaskState.CANCELLED}
    assert (child in {task.id for task in ended}) == (held[0].module == "m0")
    assert sorted(str(task.cause_id) for task in await queue.find(WAKES)) == sorted(task.id for task in ended)


async def test_cancel_of_many_closes_generations_and_wakes_parents(queue: TaskQueue, database: Database) -> None:
    contents = ContentRepository(database)
    await queue.enqueue_many([new_task(queue="parents") for _ in range(2)])
    parents = await queue.claim(claimer(queues=("parents",)), limit=2)
    for parent in parents:
        await queue.spawn(Lease.of(parent), "child", new_task())
        await queue.suspend(Lease.of(parent))
    held = await queue.claim(claimer(), limit=2)
    for task in held:
        await contents.begin(Lease.of(task), task, operation="txt2img", provider="p", source_data={})
    match = TaskFilter(owner_id=OWNER, queue="default")
    await database.transaction(lambda session: queue.cancel_many(match, session=session))

    statuses = {(await contents.generation(task.id, owner_id=OWNER)).status for task in held}
    assert statuses == {GenerationStatus.CANCELLED}
    assert {(await queue.get(parent.id, owner_id=OWNER)).state for parent in parents} == {TaskState.QUEUED}
    assert [event.type for event in await queue.events(held[0].id)][-1:] == [TaskEventType.CANCELLED]


async def test_cancel_of_many_and_ends_race_for_one_end(queue: TaskQueue, database: Database) -> None:
    for _ in range(ROUNDS):
        await queue.enqueue_many([of_run() for _ in range(RACES)])
        held = await queue.claim(claimer(), limit=RACES)
        match = TaskFilter(owner_id=OWNER, run_id=RUN, queue="default")

        async def cancel_all(session: Any, match: TaskFilter = match) -> CancelledTasks:
            return await queue.cancel_many(match, session=session)

        async def complete(task: Task) -> bool:
            with suppress(LeaseLostError):
                await queue.complete(Lease.of(task))
                return True
            return False

        cancelled, *completed = await asyncio.gather(database.transaction(cancel_all), *map(complete, held))
        states = [(await queue.get(task.id, owner_id=OWNER)).state for task in held]
        wakes = await queue.claim(ENGINE, limit=2 * RACES)
        for wake in wakes:
            await queue.complete(Lease.of(wake))

        assert [state is TaskState.COMPLETED for state in states] == list(completed)
        assert cancelled.count == RACES - sum(completed)
        assert sorted(str(wake.cause_id) for wake in wakes) == sorted(task.id for task in held)


async def test_no_wake_up_is_lost_while_many_tasks_end(queue: TaskQueue, database: Database) -> None:
    await queue.enqueue_many([of_run() for _ in range(TASKS)])
    held = await queue.claim(claimer(), limit=TASKS)
    seen: list[set[str]] = []
    causes: list[str | None] = []

    async def end(number: int, task: Task) -> None:
        host = TaskQueue(database, lease=LEASE)
        ending = ("complete", "fail", "cancel")[number % 3]
        with suppress(ConflictError):
            await ENDINGS[ending][1](host, task)

    async def advance() -> None:
        host = TaskQueue(database, lease=LEASE)
        while len(causes) < TASKS:
            for wake in await host.claim(ENGINE):
                view = {task.id for task in await host.find(ENDED, limit=TASKS)}
                # Whoever woke it is there to be seen.
                assert wake.cause_id in view
                seen.append(view)
                await host.complete(Lease.of(wake))
                causes.append(wake.cause_id)
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(*(end(number, task) for number, task in enumerate(held)), advance(), advance())

    assert sorted(map(str, causes)) == sorted(task.id for task in held)
    # So the last one has seen all ends.
    assert set.union(*seen[-2:]) == {task.id for task in held}


async def test_timer_is_found_and_cancelled_by_what_it_stands_for(queue: TaskQueue, database: Database) -> None:
    due = await database.server_time() + timedelta(days=1)
    for name in ("int_1", "int_2"):
        await queue.enqueue(new_task(actor="timer", run_id=RUN, run_at=due, interaction_id=name, module="ask"))
    timer = TaskFilter(
        owner_id=OWNER, run_id=RUN, states=frozenset({TaskState.SCHEDULED}), actor="timer", interaction_id="int_1"
    )
    found = await queue.find(timer)
    answer = await database.transaction(lambda session: queue.cancel_many(timer, session=session))
    left = await queue.find(TaskFilter(owner_id=OWNER, run_id=RUN, module="ask", states=LIVE_STATES))

    assert [task.interaction_id for task in found] == ["int_1"]
    assert (answer.count, answer.more) == (1, False)
    assert [task.interaction_id for task in left] == ["int_2"]
