"""Enqueueing: defaults, ids, unique keys, batches."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from appdb import ConflictError, InvalidDataError, Lease, TaskState, TooLargeError
from appsupport.queue.queue_contract import OTHER, OWNER, Subject, new_task, numbered

HOUR = timedelta(hours=1)


async def test_new_task_is_queued_as_given(subject: Subject) -> None:
    asked: dict[str, Any] = {
        "actor": "paint",
        "actor_version": 3,
        "queue": "media",
        "priority": 7,
        "max_attempts": 5,
        "payload": {"a": [1, 2.5, None, True, {"b": "c"}]},
    }
    task = await subject.queue.enqueue(new_task(timeout=timedelta(seconds=90), **asked))

    assert {name: getattr(task, name) for name in asked} == asked
    assert (task.owner_id, task.state, task.timeout_seconds) == (OWNER, TaskState.QUEUED, 90)
    assert (task.attempt, task.event_count, task.last_seq, task.lease) == (0, 0, -1, None)
    assert task.created_at == task.updated_at == task.run_at
    assert await subject.get(task) == task


async def test_delayed_task_is_scheduled_and_not_claimed(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(delay=HOUR))

    assert (task.state, task.run_at) == (TaskState.SCHEDULED, task.created_at + HOUR)
    assert await subject.queue.promote() == 0
    assert await subject.claim() == []


async def test_delayed_task_is_claimed_when_due(subject: Subject) -> None:
    task = await subject.queue.enqueue(new_task(delay=timedelta(seconds=30)))
    await subject.pass_time(40)

    assert await subject.queue.promote() == 1
    assert [found.id for found in await subject.claim()] == [task.id]


async def test_enqueue_with_same_id_returns_first_task(subject: Subject) -> None:
    first = await subject.queue.enqueue(new_task(task_id="tq_mine"))
    again = await subject.queue.enqueue(new_task(task_id="tq_mine"))

    assert first == again
    assert first.id == "tq_mine"
    assert len(await subject.queue.page(owner_id=OWNER)) == 1


async def test_enqueue_repeated_after_end_returns_final_task(subject: Subject) -> None:
    task, lease = await subject.claimed(task_id="tq_mine")
    await subject.queue.complete(lease, {"n": 1})
    again = await subject.queue.enqueue(new_task(task_id="tq_mine"))

    assert (again.id, again.state, again.result) == (task.id, TaskState.COMPLETED, {"n": 1})


async def test_concurrent_enqueues_of_one_key_make_one_task(subject: Subject) -> None:
    tasks = await asyncio.gather(*(subject.queue.enqueue(new_task(unique_key="k")) for _ in range(10)))

    assert len({task.id for task in tasks}) == 1
    assert len(await subject.queue.page(owner_id=OWNER)) == 1


async def test_unique_key_refused_for_another_payload(subject: Subject) -> None:
    await subject.queue.enqueue(new_task(unique_key="k"))
    with pytest.raises(ConflictError, match="another payload"):
        await subject.queue.enqueue(new_task(unique_key="k", payload={"text": "other"}))

    assert len(await subject.queue.page(owner_id=OWNER)) == 1


async def test_unique_key_refused_for_another_actor(subject: Subject) -> None:
    await subject.queue.enqueue(new_task(unique_key="k"))
    with pytest.raises(ConflictError, match="unique key"):
        await subject.queue.enqueue(new_task(unique_key="k", actor="other"))


async def test_unique_key_belongs_to_owner(subject: Subject) -> None:
    mine = await subject.queue.enqueue(new_task(unique_key="k"))
    theirs = await subject.queue.enqueue(new_task(unique_key="k", owner_id=OTHER))

    assert mine.id != theirs.id


@pytest.mark.parametrize(("unique_for", "same"), [("kept", True), ("live", False), (HOUR, True)])
async def test_unique_key_outlives_final_task_as_given(subject: Subject, unique_for: Any, same: bool) -> None:
    first, lease = await subject.claimed(unique_key="k", unique_for=unique_for)
    await subject.queue.complete(lease)
    again = await subject.queue.enqueue(new_task(unique_key="k", unique_for=unique_for))

    assert (again.id == first.id) is same


async def test_live_unique_key_covers_running_and_retrying_task(subject: Subject) -> None:
    first, lease = await subject.claimed(unique_key="k", unique_for="live")
    running = await subject.queue.enqueue(new_task(unique_key="k", unique_for="live"))
    await subject.queue.fail(lease, "Broken", "later", retry_in=HOUR)
    waiting = await subject.queue.enqueue(new_task(unique_key="k", unique_for="live"))

    assert first.id == running.id == waiting.id


@pytest.mark.parametrize("how", ["fail", "cancel", "recover", "expire"])
async def test_live_unique_key_is_free_after_any_end(subject: Subject, how: str) -> None:
    first = await subject.queue.enqueue(
        new_task(unique_key="k", unique_for="live", max_attempts=1, expires_in=timedelta(seconds=20))
    )
    if how in ("fail", "recover"):
        (task,) = await subject.claim()
        if how == "fail":
            await subject.queue.fail(Lease.of(task), "Broken", "no", retry_in=None)
    if how == "cancel":
        await subject.queue.cancel(first.id, owner_id=OWNER)
    if how in ("recover", "expire"):
        await subject.lose_lease()
        await getattr(subject.queue, how)()
    again = await subject.queue.enqueue(new_task(unique_key="k", unique_for="live"))

    assert (await subject.get(first)).state.final
    assert again.id != first.id


async def test_timed_unique_key_is_free_after_its_time(subject: Subject) -> None:
    first = await subject.queue.enqueue(new_task(unique_key="k", unique_for=timedelta(seconds=50)))
    await subject.pass_time(60)
    again = await subject.queue.enqueue(new_task(unique_key="k", unique_for=timedelta(seconds=50)))

    assert again.id != first.id
    assert not (await subject.get(first)).state.final
    assert [(await subject.get(task)).unique_key for task in (first, again)] == [None, "k"]


async def test_foreign_id_is_refused_even_with_free_key(subject: Subject) -> None:
    await subject.queue.enqueue(new_task(task_id="tq_theirs", owner_id=OTHER))
    foreign = new_task(task_id="tq_theirs", unique_key="free")
    async with asyncio.timeout(10):
        refused, *others = await asyncio.gather(
            subject.queue.enqueue(foreign),
            *(subject.queue.enqueue(numbered(n)) for n in range(20)),
            return_exceptions=True,
        )
    with pytest.raises(ConflictError, match="another owner"):
        await subject.queue.enqueue_many([foreign])

    assert isinstance(refused, ConflictError)
    assert [task for task in others if isinstance(task, BaseException)] == []
    assert len(await subject.queue.page(owner_id=OWNER)) == len(others)


async def test_batch_is_whole_and_in_order(subject: Subject) -> None:
    ids = await subject.queue.enqueue_many([numbered(n) for n in range(250)])
    page = await subject.queue.page(owner_id=OWNER, limit=500)

    assert len(set(ids)) == 250
    assert {task.id: task.payload["n"] for task in page} == {task_id: n for n, task_id in enumerate(ids)}


async def test_empty_batch_enqueues_nothing(subject: Subject) -> None:
    assert await subject.queue.enqueue_many([]) == []


async def test_batch_is_claimed_in_order(subject: Subject) -> None:
    ids = await subject.queue.enqueue_many([numbered(n) for n in range(20)])

    assert [task.id for task in await subject.drain()] == ids


async def test_repeated_batch_returns_first_tasks(subject: Subject) -> None:
    batch = [
        *(numbered(n, task_id=f"tq_{n}") for n in range(3)),
        *(numbered(n, unique_key=f"k{n}") for n in range(3)),
    ]
    first = await subject.queue.enqueue_many(batch)
    again = await subject.queue.enqueue_many(batch)

    assert first == again
    assert first[:3] == ["tq_0", "tq_1", "tq_2"]
    assert len(await subject.queue.page(owner_id=OWNER)) == 6


async def test_repeated_unique_key_in_batch_is_one_task(subject: Subject) -> None:
    one, two, three = await subject.queue.enqueue_many([new_task(unique_key="k"), new_task(), new_task(unique_key="k")])

    assert one == three != two
    assert len(await subject.queue.page(owner_id=OWNER)) == 2


async def test_batch_returns_existing_task_of_unique_key(subject: Subject) -> None:
    first = await subject.queue.enqueue(new_task(unique_key="k"))
    ids = await subject.queue.enqueue_many([new_task(), new_task(unique_key="k")])

    assert ids[1] == first.id


async def test_batch_with_delays_is_scheduled_and_queued(subject: Subject) -> None:
    ids = await subject.queue.enqueue_many([new_task(), new_task(delay=HOUR)])

    assert [await subject.state(task_id) for task_id in ids] == [TaskState.QUEUED, TaskState.SCHEDULED]


@pytest.mark.parametrize(
    ("payload", "error"), [({"text": "x" * 256 * 1024}, TooLargeError), ({"text": "\ud800"}, InvalidDataError)]
)
async def test_batch_with_unstorable_payload_stores_nothing(
    subject: Subject, payload: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="payload"):
        await subject.queue.enqueue_many([new_task(), new_task(payload=payload)])

    assert await subject.queue.page(owner_id=OWNER) == []


async def test_concurrent_enqueues_get_their_own_outcomes(subject: Subject) -> None:
    theirs = await subject.queue.enqueue(new_task(owner_id=OTHER, task_id="tq_theirs"))
    asked = [numbered(number) for number in range(30)]
    asked += [new_task(task_id="tq_mine") for _ in range(5)] + [new_task(unique_key="k") for _ in range(5)]
    asked.append(new_task(task_id=theirs.id))
    outcomes = await asyncio.gather(*(subject.queue.enqueue(task) for task in asked), return_exceptions=True)
    tasks = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]

    assert len(tasks) == 40
    assert isinstance(outcomes[-1], ConflictError)
    assert len({task.id for task in tasks}) == len(await subject.queue.page(owner_id=OWNER, limit=100)) == 32
    assert [task.payload for task in tasks[:30]] == [task.payload for task in asked[:30]]


async def test_keys_freed_by_final_tasks_are_reusable(subject: Subject) -> None:
    keys = [f"k{number}" for number in range(8)]
    first = []
    for key in keys:
        task, lease = await subject.claimed(unique_key=key, unique_for="live")
        await subject.queue.complete(lease)
        first.append(task.id)
    async with asyncio.timeout(20):
        again = await asyncio.gather(
            *(subject.queue.enqueue(new_task(unique_key=key, unique_for="live")) for key in keys)
        )

    assert len({task.id for task in again} | set(first)) == 16


async def test_estimate_without_limit_changes_nothing(subject: Subject) -> None:
    asked = [new_task(reserves=amount, task_id=f"tq_{amount}") for amount in (Decimal(0), Decimal("0.25"))]
    stored = await subject.queue.enqueue_many(asked)
    again = await subject.queue.enqueue(asked[1])
    claimed = await subject.claim(limit=2)

    assert [task.id for task in claimed] == stored
    assert again.id == stored[1]
