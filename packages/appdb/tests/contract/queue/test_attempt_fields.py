"""Fields of a task about its attempts, and tasks that only some of the workers know."""

from __future__ import annotations

from datetime import timedelta

from appdb import Lease, TaskState
from appsupport.queue.queue_contract import LEASE, STARTED, Subject, claimer, new_task, progress


async def test_new_attempt_resets_task_and_keeps_errors(subject: Subject) -> None:
    task, lease = await subject.claimed(max_attempts=3)
    await subject.queue.append_events(lease, [STARTED, progress(0.5, "half")], seq=0)
    await subject.queue.fail(lease, "Busy", "first", retry_in=timedelta(0))
    (second,) = await subject.claim()
    await subject.queue.append_events(Lease.of(second), [progress(0.9, "nearly")], seq=second.event_count)
    await subject.pass_time(LEASE.total_seconds() + 1)
    await subject.queue.recover()
    before = await subject.now()
    (third,) = await subject.claim()
    await subject.queue.complete(Lease.of(third), {"n": 1})
    done = await subject.get(task)

    assert (second.attempt, second.progress, third.attempt, third.progress) == (2, None, 3, None)
    assert third.started_at is not None
    assert third.started_at >= before
    assert (done.state, done.error) == (TaskState.COMPLETED, None)
    assert [(error.attempt, error.type) for error in done.errors] == [(1, "Busy"), (2, "LeaseExpired")]


async def test_undeclared_actors_task_waits_without_attempt(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(actor="future", actor_version=2, max_attempts=1))
    known = [await subject.queue.claim(claimer("old", "echo@1", "future@1"), limit=n) for n in (1, 1, 5)]
    waiting = await subject.get(task)
    (figures,) = await subject.queue.stats()
    (held,) = await subject.elsewhere().claim(claimer("new", "future@2"))

    assert known == [[], [], []]
    assert (waiting.state, waiting.attempt) == (TaskState.QUEUED, 0)
    assert (figures.queue, figures.queued, figures.processing) == (task.queue, 1, 0)
    assert figures.oldest_queued_seconds is not None
    assert (held.id, held.attempt) == (task.id, 1)
