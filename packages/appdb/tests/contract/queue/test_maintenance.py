"""Maintenance that anybody may run at any time: promote, expire, prune; and the figures of queues."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from appdb import Lease, NotFoundError, TaskEventType, TaskState
from appsupport.queue.queue_contract import OTHER, OWNER, STARTED, Subject, new_task

SOON = timedelta(seconds=20)
HOUR = timedelta(hours=1)


async def test_promote_takes_due_tasks_once(subject: Subject) -> None:
    await subject.queue.enqueue_many([*(new_task(delay=SOON) for _ in range(3)), new_task(delay=HOUR)])
    await subject.pass_time(30)
    counts = await asyncio.gather(*(subject.elsewhere().promote() for _ in range(3)))

    assert sum(counts) == 3
    assert await subject.queue.promote() == 0
    assert len(await subject.claim(10)) == 3


async def test_promoted_tasks_keep_order_of_due_times(subject: Subject) -> None:
    late = await subject.queue.enqueue(new_task(delay=timedelta(seconds=20)))
    early = await subject.queue.enqueue(new_task(delay=timedelta(seconds=10)))
    await subject.pass_time(30)
    await subject.queue.promote()

    assert [task.id for task in await subject.claim(2)] == [early.id, late.id]


async def test_unclaimed_task_fails_as_expired(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(expires_in=SOON))
    kept = await subject.queue.enqueue(new_task(expires_in=HOUR))
    assert await subject.queue.expire() == []
    await subject.pass_time(30)
    (found,) = await subject.queue.expire()

    assert (found.id, found.state, found.attempt) == (task.id, TaskState.FAILED, 0)
    assert found.error is not None
    assert found.error.type == "Expired"
    assert found.finished_at is not None
    assert await subject.get(task) == found
    assert await subject.log(task) == [TaskEventType.FAILED]
    assert await subject.state(kept) is TaskState.QUEUED


async def test_scheduled_task_expires_too(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(expires_in=SOON, delay=HOUR))
    await subject.pass_time(30)

    assert [found.id for found in await subject.queue.expire()] == [task.id]


async def test_concurrent_expiry_fails_task_once(subject: Subject) -> None:
    await subject.queue.enqueue_many([new_task(expires_in=SOON) for _ in range(5)])
    await subject.pass_time(30)
    found = [task.id for _ in range(3) for task in await subject.queue.expire(limit=2)]
    assert await subject.queue.expire() == []
    again = await asyncio.gather(*(subject.elsewhere().expire() for _ in range(3)))

    assert len(set(found)) == len(found) == 5
    assert again == [[], [], []]


async def test_prune_deletes_old_final_tasks_with_events(subject: Subject) -> None:
    old, lease = await subject.claimed()
    await subject.queue.append_events(lease, [STARTED], seq=0)
    await subject.queue.complete(lease)
    await subject.pass_time(50)
    fresh = await subject.failed()
    live, _ = await subject.claimed()
    queued = await subject.queue.enqueue(new_task())

    assert await subject.queue.prune(older_than=HOUR) == 0
    assert await subject.queue.prune(older_than=timedelta(seconds=40)) == 1
    with pytest.raises(NotFoundError):
        await subject.get(old)
    assert await subject.queue.events(old.id) == []
    assert {task.id for task in await subject.queue.page(owner_id=OWNER)} == {fresh.id, live.id, queued.id}
    assert await subject.log(fresh) == [TaskEventType.FAILED]


async def test_prune_respects_limit_until_nothing_is_left(subject: Subject) -> None:
    for _ in range(3):
        await subject.failed()
    await subject.pass_time(5)
    counts = [await subject.queue.prune(older_than=timedelta(0), limit=2) for _ in range(3)]

    assert counts == [2, 1, 0]


async def test_prune_keeps_children_of_live_parent(subject: Subject) -> None:
    parent, lease = await subject.claimed()
    early = await subject.queue.spawn(lease, "early", new_task(queue="below", priority=1))
    late = await subject.queue.spawn(lease, "late", new_task(queue="below"))
    (first,) = await subject.claim(queues=("below",))
    await subject.queue.complete(Lease.of(first), {"paid": 1})
    await subject.queue.suspend(lease)
    other = await subject.failed(queue="other")
    await subject.pass_time(5)
    while_waiting = await subject.queue.prune(older_than=timedelta(0), limit=1)
    (second,) = await subject.claim(queues=("below",))
    await subject.queue.complete(Lease.of(second))
    (again,) = await subject.claim()
    spawned = await subject.queue.spawn(Lease.of(again), "early", new_task(queue="below"))
    await subject.pass_time(5)
    while_running = await subject.queue.prune(older_than=timedelta(0))
    children = await subject.queue.children(parent.id, owner_id=OWNER)
    await subject.queue.complete(Lease.of(again))
    await subject.pass_time(5)

    assert (while_waiting, while_running) == (1, 0)
    assert spawned == early
    assert {child.id: child.result for child in children} == {early: {"paid": 1}, late: None}
    assert await subject.queue.prune(older_than=timedelta(0)) == 3
    with pytest.raises(NotFoundError):
        await subject.get(other)


async def test_pruned_tasks_unique_key_is_free(subject: Subject) -> None:
    first = await subject.failed(unique_key="k")
    await subject.pass_time(5)
    await subject.queue.prune(older_than=timedelta(0))
    again = await subject.queue.enqueue(new_task(unique_key="k"))

    assert again.id != first.id


async def test_statistics_count_states_of_each_queue(subject: Subject) -> None:
    await subject.failed(queue="b")
    await subject.claimed(queue="b")
    await subject.queue.enqueue(new_task(queue="b", owner_id=OTHER))
    await subject.queue.enqueue(new_task(queue="a", delay=HOUR))
    await subject.queue.pause("b")
    await subject.pass_time(30)
    first, second = await subject.queue.stats()

    assert (first.queue, first.scheduled, first.queued, first.processing, first.paused) == ("a", 1, 0, 0, False)
    assert (second.queue, second.scheduled, second.queued, second.processing, second.paused) == ("b", 0, 1, 1, True)
    assert first.oldest_queued_seconds is None
    assert second.oldest_queued_seconds is not None
    assert 30 <= second.oldest_queued_seconds < 300
    assert {state: count for state, count in second.finished.items() if count} == {TaskState.FAILED: 1}


async def test_statistics_count_endings_within_window(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.complete(lease)
    await subject.queue.enqueue(new_task())
    await subject.pass_time(50)
    (short,) = await subject.queue.stats(window=timedelta(seconds=30))
    (long,) = await subject.queue.stats(window=HOUR)

    assert task.queue == short.queue
    assert sum(short.finished.values()) == 0
    assert {state: count for state, count in long.finished.items() if count} == {TaskState.COMPLETED: 1}


async def test_statistics_of_empty_queue_are_none(subject: Subject) -> None:
    assert await subject.queue.stats() == []


async def test_recovered_attempt_does_not_return_by_maintenance(subject: Subject) -> None:
    _, lease = await subject.claimed(max_attempts=1)
    await subject.lose_lease()
    (dead,) = await subject.queue.recover()
    rounds = [(await subject.queue.promote(), await subject.queue.recover(), await subject.queue.expire())]

    assert dead.state is TaskState.FAILED
    assert rounds == [(0, [], [])]
    assert await subject.queue.renew([lease]) == {lease}
    assert await subject.claim() == []


async def test_maintenance_due_tells_now_and_next_time(subject: Subject) -> None:
    horizon = timedelta(seconds=60)
    nothing = await subject.queue.maintenance_due(horizon=horizon)
    await subject.claimed()
    await subject.queue.enqueue(new_task(expires_in=SOON))
    await subject.queue.enqueue(new_task(delay=timedelta(seconds=80)))
    later = await subject.queue.maintenance_due(horizon=horizon)
    await subject.lose_lease()
    due = await subject.queue.maintenance_due(horizon=horizon)

    assert (nothing.recover, nothing.expire, nothing.promote_in) == (False, False, None)
    assert (later.recover, later.expire, later.promote_in) == (False, False, None)
    assert (due.recover, due.expire) == (True, True)
    assert due.promote_in is not None
    assert timedelta(seconds=30) < due.promote_in <= timedelta(seconds=49)
