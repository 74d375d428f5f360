"""Retry, replay and the filters of tasks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from appdb import ConflictError, Lease, NotFoundError, Task, TaskEventType, TaskState, TooLargeError
from appdb.models import TaskFilter
from appsupport.queue.queue_contract import OTHER, OWNER, Subject, new_task, numbered

HOUR = timedelta(hours=1)


async def test_retry_makes_scheduled_task_due_now(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.fail(lease, "Broken", "later", retry_in=HOUR)
    retried = await subject.queue.retry(task.id, owner_id=OWNER)
    await subject.queue.promote()
    (again,) = await subject.claim()

    assert retried.id == again.id == task.id
    assert again.attempt == 2


async def test_retry_makes_delayed_task_due_now(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(delay=HOUR))
    await subject.queue.retry(task.id, owner_id=OWNER)
    await subject.queue.promote()

    assert [found.id for found in await subject.claim()] == [task.id]


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_retry_of_final_task_copies_its_payload(subject: Subject, how: str) -> None:
    task, lease = await subject.claimed(priority=4)
    if how == "failed":
        await subject.queue.fail(lease, "Broken", "no", retry_in=None)
    else:
        await subject.queue.cancel(task.id, owner_id=OWNER)
    again = await subject.queue.retry(task.id, owner_id=OWNER)

    assert again.id != task.id
    assert (again.replay_of, again.payload, again.priority) == (task.id, task.payload, 4)
    assert (again.state, again.attempt, again.event_count) == (TaskState.QUEUED, 0, 0)
    assert await subject.state(task) == how


@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.PROCESSING, TaskState.COMPLETED])
async def test_retry_of_live_or_completed_task_refused(subject: Subject, state: TaskState) -> None:
    task = await subject.queue.enqueue(new_task())
    if state is not TaskState.QUEUED:
        (held,) = await subject.claim()
        if state is TaskState.COMPLETED:
            await subject.queue.complete(Lease.of(held))
    before = await subject.get(task)
    with pytest.raises(ConflictError, match=state.value):
        await subject.queue.retry(task.id, owner_id=OWNER)

    assert await subject.get(task) == before


async def over(subject: Subject, state: str) -> Task:
    task, lease = await subject.claimed()
    if state == "completed":
        await subject.queue.complete(lease, {"n": 1})
    elif state == "failed":
        await subject.queue.fail(lease, "Broken", "no", retry_in=None)
    else:
        await subject.queue.cancel(task.id, owner_id=OWNER)
    return await subject.get(task)


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
async def test_replay_makes_new_task_and_keeps_old(subject: Subject, state: str) -> None:
    task = await over(subject, state)
    again = await subject.queue.replay(task.id, owner_id=OWNER)
    (held,) = await subject.claim()
    await subject.queue.complete(Lease.of(held), {"n": 2})

    assert (again.replay_of, again.payload, again.actor, again.queue) == (task.id, task.payload, "echo", "default")
    assert held.id == again.id != task.id
    assert await subject.get(task) == task
    assert await subject.log(again) == [TaskEventType.COMPLETED]


@pytest.mark.parametrize("held", [True, False])
async def test_live_task_is_not_replayed(subject: Subject, held: bool) -> None:
    task = await subject.queue.enqueue(new_task())
    if held:
        await subject.claim()
    with pytest.raises(ConflictError):
        await subject.queue.replay(task.id, owner_id=OWNER)

    assert len(await subject.queue.page(owner_id=OWNER)) == 1


async def test_replay_can_have_another_payload(subject: Subject) -> None:
    task = await subject.failed()
    again = await subject.queue.replay(task.id, owner_id=OWNER, payload={"text": "$$NOW"})

    assert again.payload == {"text": "$$NOW"}
    assert (await subject.get(task)).payload == task.payload


async def test_replay_with_too_large_payload_refused(subject: Subject) -> None:
    task = await subject.failed()
    with pytest.raises(TooLargeError, match="payload"):
        await subject.queue.replay(task.id, owner_id=OWNER, payload={"text": "x" * 256 * 1024})

    assert len(await subject.queue.page(owner_id=OWNER)) == 1


async def test_replay_happens_once_for_each_key(subject: Subject) -> None:
    task = await subject.failed()
    same = [await subject.queue.replay(task.id, owner_id=OWNER, key="k") for _ in range(2)]
    other = await subject.queue.replay(task.id, owner_id=OWNER, key="l")
    free = [await subject.queue.replay(task.id, owner_id=OWNER) for _ in range(2)]

    assert same[0] == same[1]
    assert len({same[0].id, other.id, *(each.id for each in free)}) == 4


async def test_key_of_a_replay_stands_for_one_payload(subject: Subject) -> None:
    task = await subject.failed()
    await subject.queue.replay(task.id, owner_id=OWNER, payload={"n": 1}, key="k")

    for payload in (None, {"n": 2}):
        with pytest.raises(ConflictError, match="another payload; use a new key"):
            await subject.queue.replay(task.id, owner_id=OWNER, payload=payload, key="k")

    assert len(await subject.queue.page(owner_id=OWNER)) == 2


async def test_replay_ignores_first_tasks_unique_key(subject: Subject) -> None:
    task = await subject.failed(unique_key="k")
    again = await subject.queue.replay(task.id, owner_id=OWNER)

    assert again.id != task.id


async def test_replay_many_repeats_nothing_for_same_key(subject: Subject) -> None:
    failed = [await subject.failed(payload={"n": n}) for n in range(3)]
    cancelled = await over(subject, "cancelled")
    await over(subject, "completed")
    await subject.failed(actor="echo", queue="other")
    match = TaskFilter(owner_id=OWNER, queue="default")
    ids = await subject.queue.replay_many(match, key="k")
    again = await subject.queue.replay_many(match, key="k")

    assert sorted(ids) == sorted(again)
    assert {(await subject.get(task_id)).replay_of for task_id in ids} == {
        *(task.id for task in failed),
        cancelled.id,
    }
    assert len(await subject.claim(10)) == 4


async def test_replay_many_takes_only_given_states(subject: Subject) -> None:
    await subject.failed()
    done = await over(subject, "completed")
    match = TaskFilter(owner_id=OWNER, states=frozenset({TaskState.COMPLETED}))
    (task_id,) = await subject.queue.replay_many(match, key="k")

    assert (await subject.get(task_id)).replay_of == done.id


async def test_replay_many_respects_limit(subject: Subject) -> None:
    for _ in range(3):
        await subject.failed()

    assert len(await subject.queue.replay_many(TaskFilter(owner_id=OWNER), key="k", limit=2)) == 2


async def test_missing_task_is_neither_retried_nor_replayed(subject: Subject) -> None:
    with pytest.raises(NotFoundError):
        await subject.queue.retry("tq_missing", owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await subject.queue.replay("tq_missing", owner_id=OWNER)


async def test_find_respects_every_filter(subject: Subject) -> None:
    done = await over(subject, "completed")
    await subject.pass_time(5)
    painted = await subject.queue.enqueue(numbered(1, queue="other", actor="paint"))
    theirs = await subject.queue.enqueue(numbered(2, owner_id=OTHER))

    async def found(match: TaskFilter) -> list[str]:
        return [task.id for task in await subject.queue.find(match)]

    assert await found(TaskFilter(owner_id=OWNER)) == [painted.id, done.id]
    assert await found(TaskFilter(owner_id=None)) == [theirs.id, painted.id, done.id]
    assert await found(TaskFilter(owner_id=OWNER, queue="other")) == [painted.id]
    assert await found(TaskFilter(owner_id=None, actor="paint")) == [painted.id]
    assert await found(TaskFilter(owner_id=None, states=frozenset({TaskState.QUEUED}))) == [theirs.id, painted.id]
    assert await found(TaskFilter(owner_id=OWNER, created_before=painted.created_at)) == [done.id]
    assert await found(TaskFilter(owner_id=OWNER, created_after=painted.created_at)) == [painted.id]


async def test_find_pages_are_newest_first(subject: Subject) -> None:
    made = [(await subject.queue.enqueue(numbered(n))).id for n in range(7)]
    seen: list[str] = []
    match = TaskFilter(owner_id=OWNER)
    while page := await subject.queue.find(match, limit=3, before=seen[-1] if seen else None):
        seen += [task.id for task in page]

    assert seen == made[::-1]


async def test_newest_first_follows_creation_time_not_id(subject: Subject) -> None:
    made = [(await subject.queue.enqueue(numbered(n))).id for n in range(5)]
    await subject.pass_time(1)
    await subject.queue.cancel_many(TaskFilter(owner_id=OWNER))
    # Ids of repeats are digests, which would stand before or behind all others for ever.
    made += reversed(await subject.queue.replay_many(TaskFilter(owner_id=OWNER), key="again"))
    await subject.pass_time(1)
    newest = (await subject.queue.enqueue(numbered(9))).id
    pages: list[str] = []
    while page := await subject.queue.page(owner_id=OWNER, limit=3, before=pages[-1] if pages else None):
        pages += [task.id for task in page]

    listed = await subject.queue.page(owner_id=OWNER)
    assert listed[0].id == newest
    assert [task.id for task in listed] == pages
    assert {*pages[1:6]} == {*made[5:]}
    assert pages[6:] == made[4::-1]
    assert [task.created_at for task in listed] == sorted((task.created_at for task in listed), reverse=True)


async def test_page_after_foreign_task_is_refused(subject: Subject) -> None:
    theirs = await subject.queue.enqueue(numbered(1, owner_id=OTHER))

    for before in ("nope", theirs.id):
        with pytest.raises(NotFoundError, match=before):
            await subject.queue.page(owner_id=OWNER, before=before)
    assert await subject.queue.find(TaskFilter(owner_id=None), before=theirs.id) == []
