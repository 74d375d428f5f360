"""Sizes, hostile values that stay text, and owners who see only their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from appdb import (
    ConflictError,
    InvalidDataError,
    Lease,
    NewEvent,
    NotFoundError,
    TaskEventType,
    TaskQueueProtocol,
    TaskState,
    TooLargeError,
)
from appdb.models import TaskFilter
from appsupport.queue.queue_contract import OTHER, OWNER, Subject, claimer, new_task, progress

HOSTILE = ["$lease.token", "$$NOW", "a.b", "", "😀", "\x00\x01", "{$gt: ''}", "$payload"]


@pytest.mark.parametrize("value", HOSTILE)
async def test_user_text_stays_text(subject: Subject, value: str) -> None:
    payload: dict[str, Any] = {"text": value, "nested": {"$gt": value, "a.b": [value], "$$ROOT": {"": value}}}
    task, lease = await subject.claimed(payload=payload)
    await subject.queue.append_events(
        lease, [progress(0, value), NewEvent(type=TaskEventType.CHUNK, data=payload)], seq=0
    )
    await subject.queue.complete(lease, payload)
    done = await subject.get(task)

    assert done.payload == done.result == payload
    assert done.progress is not None
    assert done.progress.message == value
    assert (await subject.queue.events(task.id))[1].data == payload


@pytest.mark.parametrize("value", HOSTILE)
async def test_error_text_stays_text(subject: Subject, value: str) -> None:
    task, lease = await subject.claimed()
    await subject.queue.fail(lease, value, value, retry_in=None)
    failed = await subject.get(task)

    assert failed.error is not None
    assert (failed.error.type, failed.error.message) == (value, value)


@pytest.mark.parametrize("value", [value for value in HOSTILE if value.isprintable() and value])
async def test_names_of_every_kind_stay_text(subject: Subject, value: str) -> None:
    task = await subject.queue.enqueue(
        new_task(owner_id=value, queue=value, actor=value, unique_key=value, payload={"text": value})
    )
    same = await subject.queue.enqueue(
        new_task(owner_id=value, queue=value, actor=value, unique_key=value, payload={"text": value})
    )
    await subject.queue.pause(value)
    assert await subject.queue.claim(claimer(value, f"{value}@1", queues=(value,))) == []
    await subject.queue.resume(value)
    (held,) = await subject.queue.claim(claimer(value, f"{value}@1", queues=(value,)))

    assert task.id == same.id == held.id
    assert held.lease is not None
    assert (held.owner_id, held.queue, held.actor, held.lease.worker_id) == (value, value, value, value)
    assert [found.id for found in await subject.queue.page(owner_id=value)] == [task.id]


async def test_invalid_utf_8_replaced_in_errors_refused_elsewhere(subject: Subject) -> None:
    task, lease = await subject.claimed()
    with pytest.raises(InvalidDataError, match="result"):
        await subject.queue.complete(lease, {"text": "\ud800"})
    with pytest.raises(InvalidDataError, match="chunk"):
        await subject.queue.append_events(lease, [NewEvent(type=TaskEventType.CHUNK, data={"a": "\ud800"})], seq=0)
    with pytest.raises(InvalidDataError, match="payload"):
        await subject.queue.enqueue(new_task(payload={"text": "\ud800"}))
    await subject.queue.fail(lease, "Bro\udfffken", "half\ud800", retry_in=None)
    failed = await subject.get(task)

    assert failed.error is not None
    assert (failed.error.type, failed.error.message) == ("Bro?ken", "half?")


async def test_number_beyond_bson_is_refused(subject: Subject) -> None:
    with pytest.raises(InvalidDataError, match="payload"):
        await subject.queue.enqueue(new_task(payload={"n": 2**64}))

    assert await subject.queue.page(owner_id=OWNER) == []


async def test_payload_over_256_kib_is_refused(subject: Subject) -> None:
    with pytest.raises(TooLargeError, match="payload"):
        await subject.queue.enqueue(new_task(payload={"text": "x" * 256 * 1024}))

    assert await subject.queue.page(owner_id=OWNER) == []


async def test_payload_just_under_limit_is_kept(subject: Subject) -> None:
    text = "x" * (256 * 1024 - 100)
    task = await subject.queue.enqueue(new_task(payload={"text": text}))

    assert (await subject.get(task)).payload["text"] == text


async def test_too_large_result_is_refused_and_lease_stays(subject: Subject) -> None:
    task, lease = await subject.claimed()
    with pytest.raises(TooLargeError, match="result"):
        await subject.queue.complete(lease, {"data": "x" * 300_000})

    assert await subject.queue.renew([lease]) == set()
    assert await subject.state(task) is TaskState.PROCESSING
    assert await subject.log(task) == []


LARGE = [NewEvent(type=TaskEventType.CHUNK, data={"chunks": ["x" * 70_000]})]
WITH_LARGE_EVENT: dict[str, Callable[[TaskQueueProtocol, Lease], Awaitable[None]]] = {
    "append_events": lambda queue, lease: queue.append_events(lease, LARGE, seq=0),
    "complete": lambda queue, lease: queue.complete(lease, events=LARGE),
    "fail": lambda queue, lease: queue.fail(lease, "E", "m", retry_in=None, events=LARGE),
    "release": lambda queue, lease: queue.release(lease, events=LARGE),
    "suspend": lambda queue, lease: queue.suspend(lease, events=LARGE),
}


@pytest.mark.parametrize("write", WITH_LARGE_EVENT.values(), ids=WITH_LARGE_EVENT)
async def test_too_large_event_is_refused(
    subject: Subject, write: Callable[[TaskQueueProtocol, Lease], Awaitable[None]]
) -> None:
    task, lease = await subject.claimed()
    with pytest.raises(TooLargeError, match="chunk"):
        await write(subject.queue, lease)

    assert await subject.get(task) == task
    assert await subject.log(task) == []


async def test_long_error_message_is_cut(subject: Subject) -> None:
    task, lease = await subject.claimed()
    await subject.queue.fail(lease, "Broken", "m" * 10_000, retry_in=None)
    failed = await subject.get(task)

    assert failed.error is not None
    assert failed.error.message == "m" * 4_000


async def test_another_owners_task_looks_missing(subject: Subject) -> None:
    task = await subject.failed()
    for call in (subject.queue.get, subject.queue.cancel, subject.queue.retry, subject.queue.replay):
        errors = []
        for task_id in (task.id, "tq_missing"):
            with pytest.raises(NotFoundError) as found:
                await call(task_id, owner_id=OTHER)
            errors.append(str(found.value).replace(task_id, "ID"))
        assert errors[0] == errors[1]

    assert await subject.get(task) == task


async def test_lists_and_filters_are_limited_to_owner(subject: Subject) -> None:
    mine, lease = await subject.claimed()
    await subject.queue.spawn(lease, "one", new_task())
    theirs = await subject.queue.enqueue(new_task(owner_id=OTHER))
    assert [task.id for task in await subject.queue.page(owner_id=OTHER)] == [theirs.id]
    assert [task.id for task in await subject.queue.find(TaskFilter(owner_id=OTHER))] == [theirs.id]
    assert [task.id for task in await subject.queue.find(TaskFilter(owner_id=None, task_ids=(theirs.id,)))] == [
        theirs.id
    ]
    assert await subject.queue.find(TaskFilter(owner_id=OWNER, task_ids=(theirs.id,))) == []
    assert (await subject.queue.cancel_many(TaskFilter(owner_id="usr_c"))).count == 0
    assert (await subject.queue.cancel_many(TaskFilter(owner_id=OTHER))).count == 1
    assert await subject.queue.replay_many(TaskFilter(owner_id=OWNER), key="k") == []

    assert await subject.state(mine) is TaskState.PROCESSING
    assert len(await subject.queue.children(mine.id, owner_id=OWNER)) == 1


async def test_another_owners_children_are_hidden(subject: Subject) -> None:
    mine, lease = await subject.claimed()
    await subject.queue.spawn(lease, "one", new_task())
    try:
        shown = await subject.queue.children(mine.id, owner_id=OTHER)
    except NotFoundError:
        shown = []

    assert shown == []


async def test_enqueue_hides_another_owners_task_id(subject: Subject) -> None:
    mine = await subject.queue.enqueue(new_task(task_id="tq_mine", payload={"secret": 1}))
    with pytest.raises(ConflictError, match="tq_mine"):
        await subject.queue.enqueue(new_task(task_id="tq_mine", owner_id=OTHER))

    assert await subject.get(mine) == mine


async def test_page_can_be_limited_to_states(subject: Subject) -> None:
    failed = await subject.failed()
    held, _ = await subject.claimed()
    queued = await subject.queue.enqueue(new_task())

    async def page(*states: TaskState) -> list[str]:
        return [task.id for task in await subject.queue.page(owner_id=OWNER, states=states)]

    assert await page(TaskState.FAILED) == [failed.id]
    assert await page(TaskState.QUEUED, TaskState.PROCESSING) == [queued.id, held.id]
    assert await page() == [queued.id, held.id, failed.id]


async def test_changed_result_does_not_change_task(subject: Subject) -> None:
    payload: dict[str, Any] = {"list": [1]}
    task = await subject.queue.enqueue(new_task(payload=payload))
    payload["list"].append(2)
    task.payload["list"].append(3)
    (await subject.get(task)).payload["list"].append(4)

    assert (await subject.get(task)).payload == {"list": [1]}
