"""Leases: a holder keeps its task for their length, and can do nothing once its lease is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from appdb import AttemptWrite, Completed, Lease, LeaseLostError, TaskEventType, TaskQueueProtocol, TaskState
from appsupport.queue.queue_contract import CHUNK, LEASE, OWNER, STARTED, Subject, claimer, new_task

ZOMBIE_WRITES: dict[str, Callable[[TaskQueueProtocol, Lease], Awaitable[object]]] = {
    "append_events": lambda queue, lease: queue.append_events(lease, [CHUNK], seq=0),
    "complete": lambda queue, lease: queue.complete(lease, {"by": "zombie"}),
    "fail": lambda queue, lease: queue.fail(lease, "Late", "late", retry_in=None),
    "retry": lambda queue, lease: queue.fail(lease, "Late", "late", retry_in=timedelta(0)),
    "release": lambda queue, lease: queue.release(lease),
    "suspend": lambda queue, lease: queue.suspend(lease),
    "save_step": lambda queue, lease: queue.save_step(lease, "step", 1),
    "spawn": lambda queue, lease: queue.spawn(lease, "child", new_task()),
}


@pytest.mark.parametrize("write", ZOMBIE_WRITES.values(), ids=ZOMBIE_WRITES)
async def test_lease_held_by_another_cannot_write(
    subject: Subject, write: Callable[[TaskQueueProtocol, Lease], Awaitable[object]]
) -> None:
    task, old = await subject.claimed()
    await subject.lose_lease()
    await subject.queue.recover()
    (again,) = await subject.claim(by="w2")
    with pytest.raises(LeaseLostError):
        await write(subject.queue, old)

    assert await subject.get(task) == again
    assert await subject.queue.get_step(Lease.of(again), "step") == (False, None)
    assert await subject.queue.children(task.id, owner_id=OWNER) == []
    assert await subject.log(task) == [TaskEventType.RETRYING]


@pytest.mark.parametrize("write", ZOMBIE_WRITES.values(), ids=ZOMBIE_WRITES)
async def test_recovered_lease_cannot_write(
    subject: Subject, write: Callable[[TaskQueueProtocol, Lease], Awaitable[object]]
) -> None:
    task, old = await subject.claimed()
    await subject.lose_lease()
    (queued,) = await subject.queue.recover()
    with pytest.raises(LeaseLostError):
        await write(subject.queue, old)

    assert await subject.get(task) == queued


@pytest.mark.parametrize("write", ZOMBIE_WRITES.values(), ids=ZOMBIE_WRITES)
async def test_older_lease_of_same_worker_cannot_write(
    subject: Subject, write: Callable[[TaskQueueProtocol, Lease], Awaitable[object]]
) -> None:
    task, old = await subject.claimed()
    await subject.queue.fail(old, "Broken", "again", retry_in=timedelta(0))
    (again,) = await subject.claim()
    if write is ZOMBIE_WRITES["retry"]:
        await write(subject.queue, old)  # what this lease did write may be repeated
    else:
        with pytest.raises(LeaseLostError):
            await write(subject.queue, old)

    assert await subject.get(task) == again


@pytest.mark.parametrize("zombie_first", [True, False])
async def test_older_lease_in_same_commit_writes_nothing(subject: Subject, *, zombie_first: bool) -> None:
    task, old = await subject.claimed()
    await subject.lose_lease()
    await subject.queue.recover()
    (again,) = await subject.claim()
    other, held = await subject.claimed()
    zombie, holder, neighbour = (
        AttemptWrite(lease=lease, events=[], seq=None, outcome=Completed(result={"by": by}))
        for lease, by in ((old, "zombie"), (Lease.of(again), "holder"), (held, "neighbour"))
    )
    both = [zombie, holder] if zombie_first else [holder, zombie]

    assert await subject.queue.commit([neighbour, *both]) == {old}
    assert (await subject.get(task)).result == {"by": "holder"}
    assert (await subject.get(other)).result == {"by": "neighbour"}


async def test_renewed_lease_is_not_recovered(subject: Subject) -> None:
    _, lease = await subject.claimed()
    for _ in range(3):
        await subject.pass_time(20)
        assert await subject.queue.renew([lease]) == set()

    assert await subject.queue.recover() == []


async def test_renew_tells_lost_leases_from_held(subject: Subject) -> None:
    _, held = await subject.claimed()
    cancelled, lost = await subject.claimed()
    _, done = await subject.claimed()
    await subject.queue.cancel(cancelled.id, owner_id=OWNER)
    await subject.queue.complete(done)
    missing = Lease(task_id="tq_missing", token="none", attempt=1, max_attempts=3, worker_id="w1")

    assert await subject.queue.renew([held, lost, done, missing]) == {lost, done, missing}
    assert await subject.queue.renew([]) == set()


@pytest.mark.parametrize("old_last", [False, True])
async def test_older_lease_does_not_block_newer_renewal(subject: Subject, *, old_last: bool) -> None:
    _, old = await subject.claimed()
    await subject.lose_lease()
    await subject.queue.recover()
    (again,) = await subject.claim()
    new = Lease.of(again)
    await subject.pass_time(LEASE.total_seconds() / 2)
    lost = await subject.queue.renew([new, old] if old_last else [old, new])
    await subject.pass_time(LEASE.total_seconds() * 3 / 4)

    assert lost == {old}
    assert await subject.queue.recover() == []


async def test_renew_moves_only_the_end_of_lease(subject: Subject) -> None:
    _, lease = await subject.claimed()
    await subject.pass_time(10)
    before = await subject.get(lease.task_id)
    await subject.queue.renew([lease])
    renewed = await subject.get(lease.task_id)

    assert before.lease is not None
    assert renewed.lease is not None
    assert renewed.lease.expires_at > before.lease.expires_at
    assert renewed.model_copy(update={"lease": before.lease}) == before


async def test_swapped_tokens_hold_nothing(subject: Subject) -> None:
    one, first = await subject.claimed()
    two, second = await subject.claimed()
    crossed = [
        Lease(task_id=one.id, token=second.token, attempt=1, max_attempts=3, worker_id="w1"),
        Lease(task_id=two.id, token=first.token, attempt=1, max_attempts=3, worker_id="w1"),
    ]

    assert await subject.queue.renew(crossed) == set(crossed)
    for lease in crossed:
        with pytest.raises(LeaseLostError):
            await subject.queue.complete(lease)


async def test_recover_counts_attempt_and_tells_why(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.append_events(lease, [STARTED], seq=0)
    await subject.lose_lease()
    (found,) = await subject.queue.recover()

    assert (found.id, found.state, found.attempt, found.lease) == (task.id, TaskState.QUEUED, 1, None)
    assert found.error is not None
    assert (found.error.type, found.error.attempt) == ("LeaseExpired", 1)
    assert found.errors == [found.error]
    assert await subject.log(task) == [TaskEventType.STARTED, TaskEventType.RETRYING]
    assert await subject.get(task) == found


async def test_concurrent_recoveries_recover_task_once(subject: Subject) -> None:
    task, _ = await subject.claimed()
    await subject.lose_lease()
    found = await asyncio.gather(*(subject.elsewhere().recover() for _ in range(5)))

    assert [each.id for part in found for each in part] == [task.id]
    assert await subject.log(task) == [TaskEventType.RETRYING]


async def test_recover_respects_limit(subject: Subject) -> None:
    await subject.queue.enqueue_many([new_task() for _ in range(5)])
    await subject.claim(5)
    await subject.lose_lease()

    assert [len(await subject.queue.recover(limit=2)) for _ in range(4)] == [2, 2, 1, 0]


async def test_expired_lease_is_not_claimed_before_recovery(subject: Subject) -> None:
    await subject.claimed()
    await subject.lose_lease()

    assert await subject.claim(by="w2") == []


async def test_lease_has_length_of_its_queue_object(subject: Subject) -> None:
    await subject.queue.enqueue(new_task())
    (task,) = await subject.elsewhere().claim(claimer())

    assert task.lease is not None
    assert task.started_at is not None
    assert task.lease.expires_at - task.started_at == LEASE
