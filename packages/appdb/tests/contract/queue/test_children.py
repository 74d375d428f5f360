"""Children, parents that wait for them, and continuations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from appdb import InvalidDataError, Lease, NewTask, TaskEventType, TaskState, TooLargeError
from appsupport.queue.queue_contract import (
    MAX_CONTINUATION_DEPTH,
    MAX_CONTINUATIONS,
    OTHER,
    OWNER,
    Subject,
    claimer,
    new_task,
    numbered,
)


async def test_child_knows_its_parent(subject: Subject) -> None:
    parent, lease = await subject.claimed()
    child_id = await subject.queue.spawn(lease, "one", new_task(priority=3))
    child = await subject.get(child_id)

    assert (child.parent_id, child.state, child.priority) == (parent.id, TaskState.QUEUED, 3)
    assert (await subject.get(parent)).children_open == 1
    assert [task.id for task in await subject.queue.children(parent.id, owner_id=OWNER)] == [child_id]


async def test_child_is_spawned_once_over_attempts(subject: Subject) -> None:
    parent, lease = await subject.claimed()
    first = [await subject.queue.spawn(lease, "one", new_task()) for _ in range(2)]
    await subject.queue.fail(lease, "Broken", "again", retry_in=timedelta(0))
    (again,) = await subject.queue.claim(claimer("w2"), limit=1)
    if again.id != parent.id:
        (again,) = await subject.queue.claim(claimer("w2"), limit=1)
    assert again.id == parent.id
    second = await subject.queue.spawn(Lease.of(again), "one", new_task())
    other = await subject.queue.spawn(Lease.of(again), "two", new_task())

    assert {*first, second} == {first[0]}
    assert other != first[0]
    assert (await subject.get(parent)).children_open == 2


async def test_last_finished_child_wakes_suspended_parent(subject: Subject) -> None:
    parent, lease = await subject.claimed(max_attempts=1)
    for key in ("one", "two"):
        await subject.queue.spawn(lease, key, new_task(queue="below"))
    await subject.queue.suspend(lease)
    waiting = await subject.get(parent)
    assert await subject.queue.promote() == 0
    assert await subject.claim() == []
    one, two = await subject.claim(2, queues=("below",))
    await subject.queue.complete(Lease.of(one))
    between = await subject.get(parent)
    await subject.queue.fail(Lease.of(two), "Broken", "no", retry_in=None)
    (again,) = await subject.claim()

    assert (waiting.state, waiting.waiting, waiting.children_open) == (TaskState.SCHEDULED, True, 2)
    assert (waiting.attempt, waiting.lease) == (0, None)
    assert (between.state, between.children_open) == (TaskState.SCHEDULED, 1)
    assert (again.id, again.attempt, again.waiting, again.children_open) == (parent.id, 1, False, 0)
    assert await subject.log(parent) == [TaskEventType.SUSPENDED]


@pytest.mark.parametrize("how", ["cancel", "recover", "expire"])
async def test_every_end_of_child_reaches_parent(subject: Subject, how: str) -> None:
    parent, lease = await subject.claimed()
    child = new_task(queue="below", max_attempts=1, expires_in=timedelta(seconds=20))
    child_id = await subject.queue.spawn(lease, "one", child)
    await subject.queue.suspend(lease)
    if how == "cancel":
        await subject.queue.cancel(child_id, owner_id=OWNER)
    else:
        if how == "recover":
            assert len(await subject.claim(queues=("below",))) == 1
        await subject.lose_lease()
        await getattr(subject.queue, how)()

    assert (await subject.get(child_id)).state.final
    assert [task.id for task in await subject.claim()] == [parent.id]


async def test_retried_child_is_still_open(subject: Subject) -> None:
    parent, lease = await subject.claimed()
    await subject.queue.spawn(lease, "one", new_task(queue="below"))
    await subject.queue.suspend(lease)
    (child,) = await subject.claim(queues=("below",))
    await subject.queue.fail(Lease.of(child), "Broken", "again", retry_in=timedelta(0))

    assert (await subject.get(parent)).children_open == 1
    assert await subject.claim() == []


async def test_parent_suspending_after_children_is_due_at_once(subject: Subject) -> None:
    parent, lease = await subject.claimed()
    await subject.queue.spawn(lease, "one", new_task(queue="below"))
    (child,) = await subject.claim(queues=("below",))
    await subject.queue.complete(Lease.of(child))
    await subject.queue.suspend(lease)

    assert [task.id for task in await subject.claim()] == [parent.id]


async def test_finished_parent_leaves_children_running(subject: Subject) -> None:
    parent, lease = await subject.claimed()
    child_id = await subject.queue.spawn(lease, "one", new_task(queue="below"))
    await subject.queue.complete(lease)
    (child,) = await subject.claim(queues=("below",))
    await subject.queue.complete(Lease.of(child))

    assert child.id == child_id
    assert [await subject.state(task) for task in (parent, child)] == [TaskState.COMPLETED] * 2
    assert await subject.log(parent) == [TaskEventType.COMPLETED]


async def test_cancelled_parent_cancels_live_descendants(subject: Subject) -> None:
    parent, lease = await subject.claimed()
    done_id = await subject.queue.spawn(lease, "done", new_task(queue="done"))
    child_id = await subject.queue.spawn(lease, "child", new_task(queue="below"))
    (done,) = await subject.claim(queues=("done",))
    await subject.queue.complete(Lease.of(done))
    (child,) = await subject.claim(queues=("below",))
    grandchild_id = await subject.queue.spawn(Lease.of(child), "grandchild", new_task(queue="deep"))
    await subject.queue.cancel(parent.id, owner_id=OWNER)

    assert await subject.state(done_id) is TaskState.COMPLETED
    for task_id in (parent.id, child_id, grandchild_id):
        assert await subject.state(task_id) is TaskState.CANCELLED
        assert await subject.log(task_id) == [TaskEventType.CANCELLED]
    assert await subject.queue.renew([Lease.of(child)]) == {Lease.of(child)}


async def test_cancel_reaches_descendants_of_finished_child(subject: Subject) -> None:
    root, lease = await subject.claimed()
    child_id = await subject.queue.spawn(lease, "child", new_task(queue="below"))
    (child,) = await subject.claim(queues=("below",))
    grandchild_id = await subject.queue.spawn(Lease.of(child), "grandchild", new_task(queue="later"))
    await subject.queue.complete(Lease.of(child))
    await subject.queue.cancel(root.id, owner_id=OWNER)

    assert await subject.state(child_id) is TaskState.COMPLETED
    assert await subject.state(grandchild_id) is TaskState.CANCELLED


async def test_children_are_listed_oldest_first_for_owner(subject: Subject) -> None:
    parent, lease = await subject.claimed()
    ids = []
    for number in range(4):
        ids.append(await subject.queue.spawn(lease, f"child {number}", numbered(number)))
        await subject.pass_time(1)

    assert [task.id for task in await subject.queue.children(parent.id, owner_id=OWNER)] == ids


async def test_child_of_another_owner_is_refused(subject: Subject) -> None:
    parent, lease = await subject.claimed()
    with pytest.raises(ValueError, match="owner"):
        await subject.queue.spawn(lease, "one", new_task(owner_id=OTHER))

    assert (await subject.get(parent)).children_open == 0


async def test_completion_enqueues_continuation_once(subject: Subject) -> None:
    following = numbered(2, queue="next", then=(numbered(3, queue="last"),))
    _, lease = await subject.claimed(then=(following, numbered(4, queue="next")))
    assert await subject.claim(queues=("next",)) == []
    for _ in range(3):
        await subject.queue.complete(lease)
    found = await subject.claim(5, queues=("next",))
    assert sorted(task.payload["n"] for task in found) == [2, 4]
    assert await subject.claim(queues=("last",)) == []
    for task in found:
        await subject.queue.complete(Lease.of(task))

    assert [task.payload["n"] for task in await subject.claim(5, queues=("last",))] == [3]


async def test_uncompleted_task_enqueues_no_continuation(subject: Subject) -> None:
    await subject.failed(then=(new_task(queue="next"),))
    cancelled = await subject.queue.enqueue(new_task(then=(new_task(queue="next"),)))
    await subject.queue.cancel(cancelled.id, owner_id=OWNER)

    assert await subject.claim(queues=("next",)) == []


async def test_chained_tasks_hand_on_live_key(subject: Subject) -> None:
    key: dict[str, Any] = {"unique_key": "k", "unique_for": "live"}
    _, lease = await subject.claimed(**key, then=(new_task(queue="next", **key),))
    await subject.queue.complete(lease)

    assert len(await subject.claim(queues=("next",))) == 1


async def test_continuation_with_taken_key_is_not_enqueued(subject: Subject) -> None:
    task, lease = await subject.claimed(then=(new_task(queue="next", unique_key="k", payload={"text": "late"}),))
    first = await subject.queue.enqueue(new_task(queue="next", unique_key="k"))
    await subject.queue.complete(lease)

    assert await subject.state(task) is TaskState.COMPLETED
    assert [found.id for found in await subject.claim(5, queues=("next",))] == [first.id]


async def test_child_ignores_tasks_of_same_unique_key(subject: Subject) -> None:
    other = await subject.queue.enqueue(new_task(queue="other", unique_key="k"))
    _, lease = await subject.claimed()
    child_id = await subject.queue.spawn(lease, "one", new_task(queue="below", unique_key="k"))

    assert child_id != other.id
    assert [found.id for found in await subject.claim(5, queues=("below",))] == [child_id]


async def test_continuation_keeps_its_fields(subject: Subject) -> None:
    following = new_task(
        queue="next", priority=4, max_attempts=7, delay=timedelta(hours=1), payload={"$x": "$$NOW"}, task_id="tq_next"
    )
    _, lease = await subject.claimed(then=(following,))
    await subject.queue.complete(lease)
    task = await subject.get("tq_next")

    assert (task.queue, task.priority, task.max_attempts, task.state) == ("next", 4, 7, TaskState.SCHEDULED)
    assert task.payload == {"$x": "$$NOW"}
    assert task.run_at == task.created_at + timedelta(hours=1)


async def test_too_large_continuation_is_refused(subject: Subject) -> None:
    with pytest.raises(TooLargeError):
        await subject.queue.enqueue(new_task(then=(new_task(payload={"text": "x" * 256 * 1024}),)))

    assert await subject.queue.page(owner_id=OWNER) == []


def _chain(length: int) -> NewTask:
    task = numbered(length)
    for number in range(length - 1, 0, -1):
        task = numbered(number, then=(task,))
    return task


TOO_MUCH: dict[str, Callable[[], tuple[NewTask, ...]]] = {
    "in a row": lambda: tuple(new_task() for _ in range(MAX_CONTINUATIONS + 1)),
    "at any depth": lambda: tuple(new_task(then=(new_task(),) * 10) for _ in range(10)),
    "one after the other": lambda: (_chain(MAX_CONTINUATION_DEPTH + 1),),
    "in weight": lambda: tuple(new_task(payload={"text": "x" * 255 * 1024}) for _ in range(5)),
}


@pytest.mark.parametrize("how", TOO_MUCH)
async def test_too_many_continuations_are_refused(subject: Subject, how: str) -> None:
    task = new_task(then=TOO_MUCH[how]())
    for store in (subject.queue.enqueue(task), subject.queue.enqueue_many([task])):
        with pytest.raises(InvalidDataError, match="follow"):
            await store

    assert await subject.queue.page(owner_id=OWNER) == []


async def test_largest_number_of_continuations_is_enqueued(subject: Subject) -> None:
    following = tuple(numbered(n, queue="next", unique_key=f"k{n // 2}") for n in range(MAX_CONTINUATIONS))
    first = await subject.queue.enqueue(new_task(queue="next", unique_key="k0", payload={"n": 0}))
    _, lease = await subject.claimed(then=following)
    await subject.queue.complete(lease)
    found = await subject.queue.page(owner_id=OWNER, limit=200)

    # Of two with one key the first stands, and of the key that was taken the first task.
    assert len(found) == 1 + MAX_CONTINUATIONS // 2
    assert {task.payload["n"] for task in found if task.queue == "next"} == set(range(0, MAX_CONTINUATIONS, 2))
    assert first.id in {task.id for task in found}


async def test_longest_storable_chain_runs_to_its_end(subject: Subject) -> None:
    await subject.queue.enqueue(new_task(then=(_chain(MAX_CONTINUATION_DEPTH),)))
    count = 0
    while found := await subject.claim():
        await subject.queue.complete(Lease.of(found[0]))
        count += 1

    assert count == 1 + MAX_CONTINUATION_DEPTH


async def test_child_and_continuation_inherit_run(subject: Subject) -> None:
    await subject.open_run("wf_1", OWNER)
    await subject.open_run("wf_2", OWNER)
    then = (
        new_task(task_id="tq_second", then=(new_task(task_id="tq_third"),)),
        new_task(task_id="tq_2", run_id="wf_2"),
    )
    _, lease = await subject.claimed(run_id="wf_1", then=then)
    child = await subject.queue.spawn(lease, "child", new_task(queue="children"))
    other = await subject.queue.spawn(lease, "other", new_task(queue="others", run_id="wf_2"))
    (held,) = await subject.claim(queues=("children",))
    grandchild = await subject.queue.spawn(Lease.of(held), "grandchild", new_task(queue="children"))
    await subject.queue.complete(lease)
    for task in await subject.claim(2):
        await subject.queue.complete(Lease.of(task))

    ids = [child, grandchild, other, "tq_second", "tq_third", "tq_2"]
    runs = [(await subject.get(task_id)).run_id for task_id in ids]
    assert runs == ["wf_1", "wf_1", "wf_2", "wf_1", "wf_1", "wf_2"]
