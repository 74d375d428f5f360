"""The commit batcher combines writes that come while a commit is under way, and answers each for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from appdb import (
    AttemptWrite,
    Claimer,
    Completed,
    DatabaseRefusedError,
    InvalidDataError,
    Lease,
    LeaseLostError,
    NewEvent,
    NewTask,
    TaskEventType,
    TaskState,
)
from appdb.testing import InMemoryTaskQueue
from appworker.attempt.commit_batcher import CommitBatcher

CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))


class CountingQueue(InMemoryTaskQueue):
    """The queue in memory, which tells what was committed together, and can refuse a task."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[int] = []
        self.refused = ""

    async def commit(self, writes: Sequence[AttemptWrite]) -> set[Lease]:
        self.commits.append(len(writes))
        await asyncio.sleep(0)
        if any(write.lease.task_id == self.refused for write in writes):
            raise DatabaseRefusedError("commit", "on purpose")
        return await super().commit(writes)


@pytest.fixture
def queue() -> CountingQueue:
    return CountingQueue()


@pytest.fixture
def batcher(queue: CountingQueue) -> CommitBatcher:
    return CommitBatcher(queue)


async def leases(queue: CountingQueue, count: int) -> list[Lease]:
    await queue.enqueue_many([NewTask(owner_id="usr_a", actor="echo", payload={}) for _ in range(count)])
    return [Lease.of(task) for task in await queue.claim(CLAIMER, limit=count)]


def done(lease: Lease) -> AttemptWrite:
    return AttemptWrite(lease=lease, outcome=Completed())


async def test_concurrent_writes_share_one_commit(queue: CountingQueue, batcher: CommitBatcher) -> None:
    held = await leases(queue, 200)
    await asyncio.gather(*(batcher.write(done(lease)) for lease in held))

    # The first two find nobody to wait for.
    assert queue.commits == [1, 1, 100, 98]
    assert len(await queue.page(owner_id="usr_a", states=[TaskState.COMPLETED], limit=1_000)) == len(held)


async def test_lost_lease_is_told_to_its_writer(queue: CountingQueue, batcher: CommitBatcher) -> None:
    lost, kept = await leases(queue, 2)
    await queue.cancel(lost.task_id, owner_id="usr_a")
    answers = await asyncio.gather(batcher.write(done(lost)), batcher.write(done(kept)), return_exceptions=True)

    assert isinstance(answers[0], LeaseLostError)
    assert answers[1] is None


async def test_refused_write_spares_others(queue: CountingQueue, batcher: CommitBatcher) -> None:
    held = await leases(queue, 5)
    queue.refused = held[2].task_id
    answers = await asyncio.gather(*(batcher.write(done(lease)) for lease in held), return_exceptions=True)

    assert [isinstance(answer, DatabaseRefusedError) for answer in answers] == [False, False, True, False, False]


async def test_too_large_write_is_refused_before_waiting(queue: CountingQueue, batcher: CommitBatcher) -> None:
    (lease,) = await leases(queue, 1)
    with pytest.raises(InvalidDataError):
        await batcher.write(AttemptWrite(lease=lease, outcome=Completed(result={"text": "\ud800"})))

    assert queue.commits == []


async def test_many_events_make_smaller_batches(queue: CountingQueue, batcher: CommitBatcher) -> None:
    held = await leases(queue, 6)
    events = [NewEvent(type=TaskEventType.CHUNK, data={})] * 400
    writes = [AttemptWrite(lease=lease, events=events) for lease in held]
    await asyncio.gather(*(batcher.write(write) for write in writes))

    assert queue.commits == [1, 1, 2, 2]
