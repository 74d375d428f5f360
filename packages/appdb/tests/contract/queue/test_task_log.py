"""The log of a task: dense numbers, batches of many attempts, repeats."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from appdb import (
    AttemptWrite,
    Completed,
    Failed,
    InvalidDataError,
    Lease,
    LeaseLostError,
    NewEvent,
    Progress,
    Released,
    TaskEventType,
    TaskState,
    TooLargeError,
)
from appsupport.queue.queue_contract import CHUNK, OWNER, STARTED, Subject, new_task, progress


async def test_events_have_dense_seq_attempt_and_data(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.append_events(lease, [STARTED, CHUNK], seq=0)
    await subject.queue.append_events(lease, [progress(0.5, "half")], seq=2)
    events = await subject.queue.events(task.id)

    assert [(event.seq, event.type, event.attempt) for event in events] == [
        (0, TaskEventType.STARTED, 1),
        (1, TaskEventType.CHUNK, 1),
        (2, TaskEventType.PROGRESS, 1),
    ]
    assert events[1].data == CHUNK.data
    assert (await subject.get(task)).last_seq == 2
    assert all(event.task_id == task.id for event in events)


async def test_last_progress_of_batch_is_stored_in_task(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.append_events(lease, [progress(0.1), progress(0.7, "$$NOW"), CHUNK], seq=0)
    found = await subject.get(task)
    await subject.queue.append_events(lease, [CHUNK], seq=3)

    assert found.progress == Progress(fraction=0.7, message="$$NOW")
    assert (await subject.get(task)).progress == found.progress


@pytest.mark.parametrize("data", [{"fraction": 2.0, "message": ""}, {"fraction": "much"}, {"message": "none"}])
async def test_unreadable_progress_is_refused(subject: Subject, data: dict[str, float | str]) -> None:
    task, lease = await subject.claimed()
    with pytest.raises(InvalidDataError, match="progress"):
        await subject.queue.append_events(lease, [NewEvent(type=TaskEventType.PROGRESS, data={**data})], seq=0)

    assert await subject.get(task) == task


async def test_events_are_read_from_given_seq(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.append_events(lease, [CHUNK] * 10, seq=0)

    assert [event.seq for event in await subject.queue.events(task.id, after=6)] == [7, 8, 9]
    assert [event.seq for event in await subject.queue.events(task.id, after=1, limit=3)] == [2, 3, 4]
    assert await subject.queue.events(task.id, after=9) == []
    assert await subject.queue.events("tq_missing") == []


@pytest.mark.parametrize("more", [0, 70])
async def test_event_page_is_bounded_in_bytes(subject: Subject, more: int) -> None:
    task, lease = await subject.claimed()
    heavy = NewEvent(type=TaskEventType.CHUNK, data={"chunks": ["x" * 60 * 1024]})
    for number in range(30):
        await subject.queue.append_events(lease, [heavy], seq=number)
    # With more behind them, all of the heavy ones have moved out of the task.
    await subject.queue.append_events(lease, [CHUNK] * more, seq=30)
    after, lengths, seen = -1, [], []
    while page := await subject.queue.events(task.id, after=after):
        lengths.append(len(page))
        seen += [event.seq for event in page]
        after = seen[-1]

    assert seen == list(range(30 + more))
    # Half a MiB of 60 KiB each.
    assert lengths[:3] == [9, 9, 9]
    assert (await subject.queue.events(task.id, limit=1))[0].data == heavy.data


async def test_repeated_append_is_applied_once(subject: Subject) -> None:
    task, lease = await subject.claimed()
    for _ in range(3):
        await subject.queue.append_events(lease, [STARTED, CHUNK], seq=0)

    assert await subject.log(task) == [TaskEventType.STARTED, TaskEventType.CHUNK]


async def test_append_with_gap_in_seq_is_refused(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.append_events(lease, [STARTED], seq=0)
    for seq in (2, 7):
        with pytest.raises(LeaseLostError):
            await subject.queue.append_events(lease, [CHUNK], seq=seq)

    assert await subject.log(task) == [TaskEventType.STARTED]


async def test_seq_continues_over_attempts(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.append_events(lease, [STARTED], seq=0)
    await subject.queue.fail(lease, "Broken", "again", retry_in=timedelta(0))
    (again,) = await subject.claim()
    await subject.queue.append_events(Lease.of(again), [STARTED], seq=again.event_count)
    events = await subject.queue.events(task.id)

    assert [(event.seq, event.attempt) for event in events] == [(0, 1), (1, 1), (2, 2)]


async def test_concurrent_writers_leave_no_gap_or_repeat(subject: Subject) -> None:
    task, lease = await subject.claimed()

    async def write(seq: int) -> bool:
        try:
            await subject.queue.append_events(lease, [CHUNK], seq=seq)
        except LeaseLostError:
            return False
        return True

    for seq in range(4):
        assert any(await asyncio.gather(write(seq), write(seq), write(seq + 1)))
    length = (await subject.get(task)).event_count

    assert 4 <= length <= 5
    assert await subject.log(task) == [TaskEventType.CHUNK] * length


async def test_last_events_and_outcome_are_written_together(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.complete(lease, {"n": 1}, events=[STARTED, progress(1.0)])
    done = await subject.get(task)

    assert (done.state, done.result, done.progress) == (TaskState.COMPLETED, {"n": 1}, Progress(fraction=1.0))
    assert (done.lease, done.error) == (None, None)
    assert done.finished_at is not None
    assert await subject.log(task) == [TaskEventType.STARTED, TaskEventType.PROGRESS, TaskEventType.COMPLETED]


async def test_commit_writes_for_many_attempts(subject: Subject) -> None:
    held = [await subject.claimed(payload={"n": n}) for n in range(4)]
    (a, first), (b, second), (c, third), (d, fourth) = held
    lost = await subject.queue.commit(
        [
            AttemptWrite(lease=first, events=[STARTED, progress(0.5)], seq=0),
            AttemptWrite(lease=second, events=[STARTED], seq=0, outcome=Completed(result={"n": 1})),
            AttemptWrite(lease=third, outcome=Failed(kind="Broken", message="no", retry_in=timedelta(seconds=60))),
            AttemptWrite(lease=fourth, outcome=Released()),
        ]
    )

    assert lost == set()
    assert [await subject.state(task) for task in (a, b, c, d)] == [
        TaskState.PROCESSING,
        TaskState.COMPLETED,
        TaskState.SCHEDULED,
        TaskState.QUEUED,
    ]
    assert await subject.log(a) == [TaskEventType.STARTED, TaskEventType.PROGRESS]
    assert await subject.log(b) == [TaskEventType.STARTED, TaskEventType.COMPLETED]
    assert await subject.log(c) == [TaskEventType.RETRYING]
    assert await subject.log(d) == [TaskEventType.RELEASED]


async def test_commit_returns_lost_leases_and_writes_rest(subject: Subject) -> None:
    good, held = await subject.claimed()
    gone, lost = await subject.claimed()
    await subject.queue.cancel(gone.id, owner_id=OWNER)
    found = await subject.queue.commit(
        [
            AttemptWrite(lease=lost, events=[CHUNK], seq=0, outcome=Completed(result={"by": "zombie"})),
            AttemptWrite(lease=held, events=[CHUNK], seq=0),
        ]
    )

    assert found == {lost}
    assert await subject.log(good) == [TaskEventType.CHUNK]
    assert await subject.log(gone) == [TaskEventType.CANCELLED]
    assert (await subject.get(gone)).result is None


async def test_repeated_commit_changes_nothing(subject: Subject) -> None:
    (a, first), (b, second) = [await subject.claimed(payload={"n": n}) for n in range(2)]
    writes = [
        AttemptWrite(lease=first, events=[STARTED], seq=0),
        AttemptWrite(lease=second, events=[STARTED], seq=0, outcome=Completed(result={"n": 1})),
    ]
    found = [await subject.queue.commit(writes) for _ in range(3)]

    assert found == [set(), set(), set()]
    assert await subject.log(a) == [TaskEventType.STARTED]
    assert await subject.log(b) == [TaskEventType.STARTED, TaskEventType.COMPLETED]


async def test_empty_commit_writes_nothing(subject: Subject) -> None:
    assert await subject.queue.commit([]) == set()


async def test_commit_with_too_large_part_writes_nothing(subject: Subject) -> None:
    (a, first), (b, second) = [await subject.claimed(payload={"n": n}) for n in range(2)]
    large = NewEvent(type=TaskEventType.CHUNK, data={"chunks": ["x" * 70_000]})
    with pytest.raises(TooLargeError, match="chunk"):
        await subject.queue.commit(
            [
                AttemptWrite(lease=first, events=[STARTED], seq=0),
                AttemptWrite(lease=second, events=[large], seq=0),
            ]
        )

    assert await subject.log(a) == await subject.log(b) == []


async def test_commit_of_one_outcome_only_is_counted(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task())
    (held,) = await subject.claim()
    await subject.queue.append_events(Lease.of(held), [STARTED], seq=0)
    await subject.queue.complete(Lease.of(held))

    assert await subject.log(task) == [TaskEventType.STARTED, TaskEventType.COMPLETED]


async def test_queues_own_events_tell_what_viewers_need(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.release(lease)
    (held,) = await subject.claim()
    await subject.queue.suspend(Lease.of(held))
    (held,) = await subject.claim()
    await subject.queue.fail(Lease.of(held), "Broken", "again", retry_in=timedelta(0))
    (held,) = await subject.claim()
    await subject.queue.complete(Lease.of(held))
    cancelled = await subject.queue.enqueue(new_task())
    await subject.queue.cancel(cancelled.id, owner_id=OWNER)
    events = [*await subject.queue.events(task.id), *await subject.queue.events(cancelled.id)]
    error = {"type": "Broken", "message": "again", "attempt": 1}

    assert [(event.type, event.attempt, event.data) for event in events] == [
        (TaskEventType.RELEASED, 1, {"worker_id": "w1"}),
        (TaskEventType.SUSPENDED, 1, {"worker_id": "w1"}),
        (TaskEventType.RETRYING, 1, {"attempt": 1, "error": error, "delay_seconds": 0}),
        (TaskEventType.COMPLETED, 2, {"attempt": 2}),
        (TaskEventType.CANCELLED, 0, {}),
    ]
