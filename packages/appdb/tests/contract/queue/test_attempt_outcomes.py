"""Outcomes of attempts: completed, failed, to be retried, released."""

from __future__ import annotations

from datetime import timedelta

import pytest

from appdb import Lease, LeaseLostError, TaskEventType, TaskState
from appsupport.queue.queue_contract import Subject, claimer, new_task


async def test_completed_task_keeps_result(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.complete(lease, {"a": [1, {"b": None}]})
    done = await subject.get(task)

    assert (done.state, done.result, done.attempt) == (TaskState.COMPLETED, {"a": [1, {"b": None}]}, 1)
    assert await subject.claim() == []
    assert await subject.log(task) == [TaskEventType.COMPLETED]


async def test_task_can_complete_without_result(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.complete(lease)

    assert (await subject.get(task)).result is None


async def test_failed_attempt_runs_again_after_delay(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.fail(lease, "Broken", "not now", retry_in=timedelta(seconds=60))
    waiting = await subject.get(task)
    assert await subject.claim() == []
    await subject.pass_time(70)
    assert await subject.queue.promote() == 1
    (again,) = await subject.claim()

    assert (waiting.state, waiting.lease, waiting.attempt) == (TaskState.SCHEDULED, None, 1)
    assert waiting.run_at - waiting.updated_at == timedelta(seconds=60)
    assert (again.id, again.attempt) == (task.id, 2)


async def test_last_attempt_fails_despite_retry(subject: Subject) -> None:
    task, lease = await subject.claimed(max_attempts=1)
    await subject.queue.fail(lease, "Broken", "again", retry_in=timedelta(seconds=1))
    await subject.queue.fail(lease, "Broken", "again", retry_in=timedelta(seconds=1))

    assert (await subject.get(task)).state is TaskState.FAILED
    assert await subject.log(task) == [TaskEventType.FAILED]


async def test_retry_without_delay_is_due_at_once(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.fail(lease, "Broken", "again", retry_in=timedelta(0))
    (again,) = await subject.claim()

    assert (again.id, again.attempt) == (task.id, 2)


async def test_error_tells_type_message_attempt_and_time(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.fail(lease, "ProviderError", "too busy", retry_in=None)
    failed = await subject.get(task)

    assert failed.error is not None
    assert (failed.error.type, failed.error.message, failed.error.attempt) == ("ProviderError", "too busy", 1)
    assert (failed.state, failed.error.at) == (TaskState.FAILED, failed.finished_at)
    (event,) = await subject.queue.events(task.id)
    assert event.type is TaskEventType.FAILED
    assert event.data["error"] == {"type": "ProviderError", "message": "too busy", "attempt": 1}


async def test_every_attempts_error_is_kept(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.fail(lease, "First", "1", retry_in=timedelta(0))
    (again,) = await subject.claim()
    await subject.queue.fail(Lease.of(again), "Second", "2", retry_in=None)
    failed = await subject.get(task)

    assert [(error.type, error.attempt) for error in failed.errors] == [("First", 1), ("Second", 2)]
    assert failed.error == failed.errors[-1]
    assert await subject.log(task) == [TaskEventType.RETRYING, TaskEventType.FAILED]


async def test_only_last_errors_are_kept(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(max_attempts=30))
    for number in range(14):
        (held,) = await subject.claim()
        await subject.queue.fail(Lease.of(held), f"E{number}", "again", retry_in=timedelta(0))
    errors = (await subject.get(task)).errors

    assert [error.type for error in errors] == [f"E{number}" for number in range(4, 14)]


async def test_completed_task_after_failures_shows_no_error(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.fail(lease, "Broken", "again", retry_in=timedelta(0))
    (again,) = await subject.claim()
    await subject.queue.complete(Lease.of(again))
    done = await subject.get(task)

    assert done.error is None
    assert len(done.errors) == 1


async def test_new_attempt_has_no_old_progress(subject: Subject) -> None:
    from appsupport.queue.queue_contract import progress

    _, lease = await subject.claimed()
    await subject.queue.append_events(lease, [progress(0.9)], seq=0)
    await subject.queue.fail(lease, "Broken", "again", retry_in=timedelta(0))
    (again,) = await subject.claim()

    assert again.progress is None


async def test_release_does_not_count_attempt(subject: Subject) -> None:
    task, lease = await subject.claimed(max_attempts=1)
    await subject.queue.release(lease)
    back = await subject.get(task)
    (again,) = await subject.claim()

    assert (back.state, back.attempt, back.lease) == (TaskState.QUEUED, 0, None)
    assert (again.id, again.attempt) == (task.id, 1)
    assert await subject.log(task) == [TaskEventType.RELEASED]


async def test_released_task_keeps_its_place(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.enqueue(new_task())
    await subject.queue.release(lease)

    assert [found.id for found in await subject.claim()] == [task.id]


async def test_retried_task_goes_behind_earlier_due_ones(subject: Subject) -> None:
    task, lease = await subject.claimed()
    other = await subject.queue.enqueue(new_task())
    await subject.pass_time(1)
    await subject.queue.fail(lease, "Broken", "again", retry_in=timedelta(0))

    assert [found.id for found in await subject.claim(2)] == [other.id, task.id]


@pytest.mark.parametrize("how", ["complete", "fail", "retry", "release", "suspend"])
async def test_settling_again_alike_is_harmless(subject: Subject, how: str) -> None:
    task, lease = await subject.claimed()
    for _ in range(3):
        match how:
            case "complete":
                await subject.queue.complete(lease, {"n": 1})
            case "fail" | "retry":
                await subject.queue.fail(lease, "E", "m", retry_in=None if how == "fail" else timedelta(hours=1))
            case "release":
                await subject.queue.release(lease)
            case _:
                await subject.queue.suspend(lease)

    assert len(await subject.log(task)) == 1


async def test_settling_again_differently_is_refused(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.complete(lease, {"n": 1})
    with pytest.raises(LeaseLostError):
        await subject.queue.fail(lease, "Late", "late", retry_in=None)
    with pytest.raises(LeaseLostError):
        await subject.queue.release(lease)

    assert await subject.state(task) is TaskState.COMPLETED
    assert await subject.log(task) == [TaskEventType.COMPLETED]


async def test_released_task_can_go_to_another_worker(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.release(lease)
    (again,) = await subject.queue.claim(claimer("w2"))

    assert again.id == task.id
    assert Lease.of(again).worker_id == "w2"
