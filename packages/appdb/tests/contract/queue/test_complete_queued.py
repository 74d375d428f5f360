"""Queued tasks that are completed since their work is done otherwise: those, and nothing that anybody works on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from appdb import TaskEventType, TaskState, TooLargeError
from appdb.models import TaskFilter
from appsupport.queue.queue_contract import OTHER, OWNER, Subject, new_task

DONE = {"taken_over_by": "tq_other"}
MINE = TaskFilter(owner_id=OWNER, actor="echo")


async def test_queued_tasks_end_as_completed_with_result(subject: Subject) -> None:
    tasks = [await subject.queue.enqueue(new_task()) for _ in range(5)]

    counts = [await subject.queue.complete_queued(MINE, DONE, limit=3) for _ in range(3)]

    assert counts == [3, 2, 0]
    for task in tasks:
        ended = await subject.get(task)
        assert (ended.state, ended.result, ended.error, ended.attempt) == (TaskState.COMPLETED, DONE, None, 0)
        assert await subject.log(task) == [TaskEventType.COMPLETED]


async def test_what_is_not_queued_or_meant_stays(subject: Subject) -> None:
    held, lease = await subject.claimed()
    later = await subject.queue.enqueue(new_task(delay=timedelta(hours=1)))
    other = await subject.queue.enqueue(new_task(actor="paint"))
    theirs = await subject.queue.enqueue(new_task(owner_id=OTHER))

    scheduled = TaskFilter(owner_id=OWNER, states=frozenset({TaskState.SCHEDULED}))
    counts = [await subject.queue.complete_queued(match, DONE) for match in (MINE, scheduled)]

    assert counts == [0, 0]
    states = [await subject.state(task) for task in (held, later, other)]
    assert states == [TaskState.PROCESSING, TaskState.SCHEDULED, TaskState.QUEUED]
    assert (await subject.queue.get(theirs.id, owner_id=OTHER)).state is TaskState.QUEUED
    await subject.queue.complete(lease)


async def test_what_follows_a_completion_begins(subject: Subject) -> None:
    await subject.queue.enqueue(new_task(then=(new_task(actor="then"),), on_end=(new_task(actor="on_end"),)))

    await subject.queue.complete_queued(MINE)

    live = await subject.queue.find(TaskFilter(owner_id=OWNER, states=frozenset({TaskState.QUEUED})))
    assert {task.actor for task in live} == {"then", "on_end"}


async def test_result_that_is_too_large_completes_nothing(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task())

    with pytest.raises(TooLargeError, match="result"):
        await subject.queue.complete_queued(MINE, {"data": "x" * 300_000})

    assert await subject.state(task) is TaskState.QUEUED
