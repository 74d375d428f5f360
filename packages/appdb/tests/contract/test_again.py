"""Retry, replay and filters: doing again what was over or waits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from appdb import ConflictError, Lease, NotFoundError, Task, TaskEventType, TaskFilter, TaskState, TooLargeError
from appsupport.queue.queue_contract import OTHER, OWNER, Subject, new_task, numbered

HOUR = timedelta(hours=1)


async def test_retrying_a_scheduled_task_makes_it_due_now(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.fail(lease, "Broken", "later", retry_in=HOUR)
    retried = await subject.queue.retry(task.id, owner_id=OWNER)
    await subject.queue.promote()
    (again,) = await subject.claim()

    assert retried.id == again.id == task.id
    assert again.attempt == 2


async def test_retrying_a_delayed_task_makes_it_due_now(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(delay=HOUR))
    await subject.queue.retry(task.id, owner_id=OWNER)
    await subject.queue.promote()

    assert [found.id for found in await subject.claim()] == [task.id]


@pytest.mark.parametrize("how", ["failed", "cancelled"])
async def test_retrying_what_is_over_makes_a_new_task_with_the_same_payload(subject: Subject, how: str) -> None:
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
async def test_retrying_what_waits_runs_or_is_completed_is_refused(subject: Subject, state: TaskState) -> None:
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
async def test_a_final_task_is_replayed_as_a_new_one_and_stays_as_it_was(subject: Subject, state: str) -> None:
    task = await over(subject, state)
    again = await subject.queue.replay(task.id, owner_id=OWNER)
    (held,) = await subject.claim()
    await subject.queue.complete(Lease.of(held), {"n": 2})

    assert (again.replay_of, again.payload, again.actor, again.queue) == (task.id, task.payload, "echo", "default")
    assert held.id == again.id != task.id
    assert await subject.get(task) == task
    assert await subject.log(again) == [TaskEventType.COMPLETED]


@pytest.mark.parametrize("held", [True, False])
async def test_a_live_task_is_not_replayed(subject: Subject, held: bool) -> None:
    task = await subject.queue.enqueue(new_task())
    if held:
        await subject.claim()
    with pytest.raises(ConflictError):
        await subject.queue.replay(task.id, owner_id=OWNER)

    assert len(await subject.queue.page(owner_id=OWNER)) == 1


async def test_a_replay_can_have_another_payload(subject: Subject) -> None:
    task = await subject.failed()
    again = await subject.queue.replay(task.id, owner_id=OWNER, payload={"text": "$$NOW"})

    assert again.payload == {"text": "$$NOW"}
    assert (await subject.get(task)).payload == task.payload


async def test_a_replay_with_a_payload_that_is_too_large_is_refused(subject: Subject) -> None:
    task = await subject.failed()
    with pytest.raises(TooLargeError, match="payload"):
        await subject.queue.replay(task.id, owner_id=OWNER, payload={"text": "x" * 256 * 1024})

    assert len(await subject.queue.page(owner_id=OWNER)) == 1


async def test_the_same_key_replays_once_and_other_keys_again(subject: Subject) -> None:
    task = await subject.failed()
    same = [await subject.queue.replay(task.id, owner_id=OWNER, key="k") for _ in range(2)]
    other = await subject.queue.replay(task.id, owner_id=OWNER, key="l")
    free = [await subject.queue.replay(task.id, owner_id=OWNER) for _ in range(2)]

    assert same[0] == same[1]
    assert len({same[0].id, other.id, *(each.id for each in free)}) == 4


async def test_a_replay_is_not_held_back_by_the_unique_key_of_the_first(subject: Subject) -> None:
    task = await subject.failed(unique_key="k")
    again = await subject.queue.replay(task.id, owner_id=OWNER)

    assert again.id != task.id


async def test_many_are_replayed_by_filter_and_the_same_key_makes_the_same_tasks(subject: Subject) -> None:
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


async def test_only_the_states_that_were_asked_for_are_replayed(subject: Subject) -> None:
    await subject.failed()
    done = await over(subject, "completed")
    match = TaskFilter(owner_id=OWNER, states=frozenset({TaskState.COMPLETED}))
    (task_id,) = await subject.queue.replay_many(match, key="k")

    assert (await subject.get(task_id)).replay_of == done.id


async def test_replaying_many_takes_at_most_so_many(subject: Subject) -> None:
    for _ in range(3):
        await subject.failed()

    assert len(await subject.queue.replay_many(TaskFilter(owner_id=OWNER), key="k", limit=2)) == 2


async def test_missing_tasks_are_not_retried_or_replayed(subject: Subject) -> None:
    with pytest.raises(NotFoundError):
        await subject.queue.retry("tq_missing", owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await subject.queue.replay("tq_missing", owner_id=OWNER)


async def test_find_heeds_every_part_of_the_filter(subject: Subject) -> None:
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


async def test_find_pages_from_the_newest_on(subject: Subject) -> None:
    made = [(await subject.queue.enqueue(numbered(n))).id for n in range(7)]
    seen: list[str] = []
    match = TaskFilter(owner_id=OWNER)
    while page := await subject.queue.find(match, limit=3, before=seen[-1] if seen else None):
        seen += [task.id for task in page]

    assert seen == made[::-1]


async def test_newest_first_goes_by_the_time_of_making_whatever_the_ids(subject: Subject) -> None:
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


async def test_a_page_behind_a_task_that_its_owner_has_not_is_refused(subject: Subject) -> None:
    theirs = await subject.queue.enqueue(numbered(1, owner_id=OTHER))

    for before in ("nope", theirs.id):
        with pytest.raises(NotFoundError, match=before):
            await subject.queue.page(owner_id=OWNER, before=before)
    assert await subject.queue.find(TaskFilter(owner_id=None), before=theirs.id) == []
