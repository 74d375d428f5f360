"""What follows the end of a task, whichever way it ends, and the labels that it takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from appdb import ConflictError, InvalidDataError, Lease, LeaseLostError, NewTask, Task, TaskState
from appdb.models import TaskFilter
from appsupport.queue.queue_contract import (
    MAX_CONTINUATION_DEPTH,
    MAX_CONTINUATIONS,
    OTHER,
    OWNER,
    Subject,
    new_task,
    numbered,
)

RACES = 12
WAKE = NewTask(owner_id=OWNER, actor="echo", payload={"why": "ended"}, queue="after")
LABELS = {
    "run_id": "wf_1",
    "branch_id": "br_1",
    "step": "s",
    "module": "m",
    "sub_action_id": "a",
    "interaction_id": "i",
}
End = Callable[[Subject, dict[str, Any]], Awaitable[str]]


async def _completed(subject: Subject, changes: dict[str, Any]) -> str:
    task, lease = await subject.claimed(**changes)
    for _ in range(2):
        await subject.queue.complete(lease)
    return task.id


async def _failed(subject: Subject, changes: dict[str, Any]) -> str:
    task, lease = await subject.claimed(**changes)
    for _ in range(2):
        await subject.queue.fail(lease, "Broken", "no", retry_in=None)
    return task.id


async def _failed_last_attempt(subject: Subject, changes: dict[str, Any]) -> str:
    task, lease = await subject.claimed(max_attempts=1, **changes)
    await subject.queue.fail(lease, "Broken", "no", retry_in=timedelta(0))
    return task.id


async def _failed_after_retry(subject: Subject, changes: dict[str, Any]) -> str:
    task, lease = await subject.claimed(max_attempts=2, **changes)
    await subject.queue.fail(lease, "Broken", "no", retry_in=timedelta(0))
    assert await subject.claim(queues=("after",)) == []
    (again,) = await subject.claim()
    await subject.queue.fail(Lease.of(again), "Broken", "no", retry_in=timedelta(0))
    return task.id


async def _cancelled_waiting(subject: Subject, changes: dict[str, Any]) -> str:
    task = await subject.queue.enqueue(new_task(delay=timedelta(hours=1), **changes))
    for _ in range(2):
        await subject.queue.cancel(task.id, owner_id=OWNER)
    return task.id


async def _cancelled_running(subject: Subject, changes: dict[str, Any]) -> str:
    task, lease = await subject.claimed(**changes)
    await subject.queue.cancel(task.id, owner_id=OWNER)
    with suppress(LeaseLostError):
        await subject.queue.complete(lease)
    return task.id


async def _cancelled_in_bulk(subject: Subject, changes: dict[str, Any]) -> str:
    task = await subject.queue.enqueue(new_task(**changes))
    await subject.queue.cancel_many(TaskFilter(owner_id=OWNER, queue="default"))
    return task.id


async def _cancelled_with_parent(subject: Subject, changes: dict[str, Any]) -> str:
    parent, lease = await subject.claimed()
    child = await subject.queue.spawn(lease, "child", new_task(**changes))
    await subject.queue.suspend(lease)
    await subject.queue.cancel(parent.id, owner_id=OWNER)
    return child


async def _expired(subject: Subject, changes: dict[str, Any]) -> str:
    task = await subject.queue.enqueue(new_task(expires_in=timedelta(seconds=1), **changes))
    await subject.pass_time(2)
    for _ in range(2):
        await subject.queue.expire()
    return task.id


async def _poisoned(subject: Subject, changes: dict[str, Any]) -> str:
    task, _ = await subject.claimed(max_attempts=1, **changes)
    await subject.lose_lease()
    for _ in range(2):
        await subject.queue.recover()
    return task.id


ENDS: dict[str, tuple[End, TaskState]] = {
    "completed": (_completed, TaskState.COMPLETED),
    "failed": (_failed, TaskState.FAILED),
    "failed in its last attempt": (_failed_last_attempt, TaskState.FAILED),
    "failed after a retry": (_failed_after_retry, TaskState.FAILED),
    "cancelled while waiting": (_cancelled_waiting, TaskState.CANCELLED),
    "cancelled while running": (_cancelled_running, TaskState.CANCELLED),
    "cancelled in bulk": (_cancelled_in_bulk, TaskState.CANCELLED),
    "cancelled with its parent": (_cancelled_with_parent, TaskState.CANCELLED),
    "expired": (_expired, TaskState.FAILED),
    "poisoned": (_poisoned, TaskState.FAILED),
}


async def woken(subject: Subject) -> list[Task]:
    """Return all that waits in the queue of follow-ups."""
    found = await subject.queue.find(TaskFilter(owner_id=None, queue="after"), limit=500)
    return [task for task in found if not task.state.final]


@pytest.mark.parametrize("name", ENDS)
async def test_each_end_enqueues_its_follow_up_once(subject: Subject, name: str) -> None:
    end, state = ENDS[name]
    task_id = await end(subject, {"on_end": (WAKE,)})
    (follow_up,) = await woken(subject)

    assert await subject.state(task_id) is state
    assert (follow_up.cause_id, follow_up.payload, follow_up.owner_id) == (task_id, WAKE.payload, OWNER)


@pytest.mark.parametrize("name", [name for name in ENDS if name != "completed"])
async def test_retried_task_wakes_again(subject: Subject, name: str) -> None:
    end, _ = ENDS[name]
    first = await end(subject, {"on_end": (WAKE,)})
    (seen,) = await subject.claim(queues=("after",))
    await subject.queue.complete(Lease.of(seen))
    again = await subject.queue.retry(first, owner_id=OWNER)
    (held,) = await subject.claim()
    await subject.queue.complete(Lease.of(held))
    (follow_up,) = await woken(subject)

    assert (seen.cause_id, follow_up.cause_id) == (first, again.id)


async def test_follow_ups_begin_with_what_continues_them(subject: Subject) -> None:
    chain = NewTask(owner_id=OWNER, actor="echo", payload={"n": 1}, then=(numbered(2, queue="last"),))
    task, lease = await subject.claimed(on_end=(chain, WAKE), then=(numbered(3, queue="then"),))
    await subject.queue.complete(lease)
    again = await subject.queue.replay(task.id, owner_id=OWNER)
    await subject.drain_completing()

    last = await subject.queue.find(TaskFilter(owner_id=OWNER, queue="last"))
    assert await subject.state(again) is TaskState.COMPLETED
    # A chain for each end, and the continuation of the first completion alone.
    assert len({task.id for task in last}) == len(last) == 2
    assert len(await subject.queue.find(TaskFilter(owner_id=OWNER, queue="then"))) == 1
    assert sorted(str(one.cause_id) for one in await woken(subject)) == sorted([task.id, again.id])


async def test_replay_of_follow_up_keeps_its_cause(subject: Subject) -> None:
    task = await subject.failed(on_end=(WAKE,))
    (follow_up,) = await subject.claim(queues=("after",))
    await subject.queue.fail(Lease.of(follow_up), "Broken", "no", retry_in=None)
    again = await subject.queue.retry(follow_up.id, owner_id=OWNER)

    assert again.cause_id == task.id


NAMED: dict[str, Callable[[], NewTask]] = {
    "id": lambda: new_task(on_end=(new_task(task_id="tq_1"),)),
    "key": lambda: new_task(on_end=(new_task(unique_key="k"),)),
    "id of what continues it": lambda: new_task(on_end=(new_task(then=(new_task(task_id="tq_1"),)),)),
    "another owner": lambda: new_task(on_end=(new_task(owner_id=OTHER),)),
}


@pytest.mark.parametrize("what", NAMED)
def test_follow_up_of_end_has_no_name_of_its_own(what: str) -> None:
    with pytest.raises(ValueError, match="what follows"):
        NAMED[what]()


def _chain(length: int) -> NewTask:
    task = numbered(length)
    for number in range(length - 1, 0, -1):
        task = numbered(number, on_end=(task,))
    return task


TOO_MUCH: dict[str, Callable[[], dict[str, Any]]] = {
    "together with continuations": lambda: {
        "then": (new_task(),) * (MAX_CONTINUATIONS // 2),
        "on_end": (new_task(),) * (MAX_CONTINUATIONS // 2 + 1),
    },
    "one after the other": lambda: {"on_end": (_chain(MAX_CONTINUATION_DEPTH + 1),)},
    "in weight": lambda: {"on_end": tuple(new_task(payload={"text": "x" * 255 * 1024}) for _ in range(5))},
}


@pytest.mark.parametrize("how", TOO_MUCH)
async def test_too_many_follow_ups_are_refused(subject: Subject, how: str) -> None:
    with pytest.raises(InvalidDataError, match="follow"):
        await subject.queue.enqueue(new_task(**TOO_MUCH[how]()))

    assert await subject.queue.page(owner_id=OWNER) == []


async def test_cancelled_follow_ups_of_follow_ups_come_to_an_end(subject: Subject) -> None:
    await subject.queue.enqueue(new_task(on_end=(_chain(5),)))
    counts = [(await subject.queue.cancel_many(TaskFilter(owner_id=OWNER))).count for _ in range(7)]

    assert counts == [1, 1, 1, 1, 1, 1, 0]


async def test_end_and_cancel_race_for_one_follow_up(subject: Subject) -> None:
    held = [await subject.claimed(on_end=(WAKE,)) for _ in range(RACES)]

    async def cancel(task: Task) -> None:
        with suppress(ConflictError):
            await subject.queue.cancel(task.id, owner_id=OWNER)

    async def complete(lease: Lease) -> None:
        with suppress(LeaseLostError):
            await subject.queue.complete(lease)

    await asyncio.gather(*(asyncio.gather(cancel(task), complete(lease)) for task, lease in held))

    assert sorted(str(one.cause_id) for one in await woken(subject)) == sorted(task.id for task, _ in held)


async def test_labels_are_handed_on_and_kept(subject: Subject) -> None:
    for run_id in ("wf_1", "wf_2"):
        await subject.open_run(run_id, OWNER)
    then = (new_task(task_id="tq_then", module="other"), new_task(task_id="tq_far", run_id="wf_2"))
    _, lease = await subject.claimed(**LABELS, then=then, on_end=(WAKE,))
    child = await subject.queue.spawn(lease, "child", new_task(queue="children", sub_action_id="b"))
    stranger = await subject.queue.spawn(lease, "far", new_task(queue="children", run_id="wf_2", step="t"))
    await subject.queue.complete(lease)
    (follow_up,) = await woken(subject)
    again = await subject.queue.replay(lease.task_id, owner_id=OWNER)

    assert await labels(subject, child) == LABELS | {"sub_action_id": "b"}
    assert await labels(subject, "tq_then") == LABELS | {"module": "other"}
    assert await labels(subject, follow_up.id) == await labels(subject, again.id) == LABELS
    # Of another run the labels mean nothing.
    assert await labels(subject, "tq_far") == dict.fromkeys(LABELS) | {"run_id": "wf_2"}
    assert await labels(subject, stranger) == dict.fromkeys(LABELS) | {"run_id": "wf_2", "step": "t"}


async def labels(subject: Subject, task_id: str) -> dict[str, str | None]:
    task = await subject.get(task_id)
    return {name: getattr(task, name) for name in LABELS}


@pytest.mark.parametrize("name", [name for name in LABELS if name != "run_id"])
async def test_tasks_are_found_and_cancelled_by_label(subject: Subject, name: str) -> None:
    await subject.open_run("wf_1", OWNER)
    one, other = [await subject.queue.enqueue(new_task(run_id="wf_1", **{name: value})) for value in ("x", "y")]
    wanted: dict[str, Any] = {name: "x"}
    match = TaskFilter(owner_id=OWNER, run_id="wf_1", **wanted)

    assert [task.id for task in await subject.queue.find(match)] == [one.id]
    assert (await subject.queue.cancel_many(match)).count == 1
    assert await subject.state(one) is TaskState.CANCELLED
    assert await subject.state(other) is TaskState.QUEUED
    with pytest.raises(ValueError, match="run_id"):
        replace(match, run_id=None)


async def test_tasks_are_chosen_by_their_ids(subject: Subject) -> None:
    tasks = [await subject.queue.enqueue(new_task()) for _ in range(4)]
    await subject.queue.cancel(tasks[0].id, owner_id=OWNER)
    match = TaskFilter(owner_id=OWNER, task_ids=(tasks[0].id, tasks[2].id, "tq_none"))

    assert {task.id for task in await subject.queue.find(match)} == {tasks[0].id, tasks[2].id}
    assert await subject.queue.find(replace(match, owner_id=OTHER)) == []
    assert await subject.queue.find(replace(match, task_ids=())) == []
    assert (await subject.queue.cancel_many(replace(match, task_ids=()))).count == 0
    assert (await subject.queue.cancel_many(match)).count == 1
    with pytest.raises(ValueError, match="500"):
        replace(match, task_ids=("a",) * 501)


async def test_canceller_leaves_its_own_actor_alone(subject: Subject) -> None:
    _, advancing = await subject.claimed(actor="echo")
    other = await subject.queue.enqueue(new_task(actor="paint"))
    await subject.queue.cancel_many(TaskFilter(owner_id=OWNER, except_actors=frozenset({"echo", "sing"})))
    await subject.queue.complete(advancing)

    assert await subject.state(other) is TaskState.CANCELLED


async def test_timer_waits_for_its_time(subject: Subject) -> None:
    due = await subject.now() + timedelta(hours=1)
    timer = await subject.queue.enqueue(new_task(run_at=due, interaction_id="i"))
    before = await subject.queue.promote()
    await subject.pass_time(3601)
    assert await subject.queue.promote() == 1
    (held,) = await subject.claim()

    assert (before, timer.state, timer.run_at) == (0, TaskState.SCHEDULED, due)
    assert (held.id, held.run_at <= await subject.now()) == (timer.id, True)


async def test_timer_that_follows_is_due_at_its_time(subject: Subject) -> None:
    due = await subject.now() + timedelta(hours=1)
    await subject.failed(on_end=(new_task(run_at=due, queue="after"),))
    (timer,) = await woken(subject)

    assert (timer.state, timer.run_at) == (TaskState.SCHEDULED, due)


async def test_limit_of_cancel_tells_of_more(subject: Subject) -> None:
    await subject.queue.enqueue_many([new_task() for _ in range(5)])
    answers = [await subject.queue.cancel_many(TaskFilter(owner_id=OWNER), limit=limit) for limit in (2, 3, 1)]

    assert [(one.count, one.more) for one in answers] == [(2, True), (3, False), (0, False)]
