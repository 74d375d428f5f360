"""Invalid arguments are refused by every method, by name, before anything is written."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from appdb import Database, InvalidDataError, Lease, Limit, NewTask, TaskQueue, TaskQueueProtocol
from appdb.models import TaskFilter
from appdb.testing import InMemoryTaskQueue
from appsupport.queue.queue_contract import (
    LARGEST,
    MAX_DEPTH,
    MAX_DURATION,
    MAX_NAME_CHARACTERS,
    OWNER,
    Subject,
    claimer,
    new_task,
)

LONG = "x" * (MAX_NAME_CHARACTERS + 1)
FOREVER = timedelta.max
TOO_LONG = MAX_DURATION + timedelta(milliseconds=1)


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return {"a": value}


TOO_DEEP = nested(MAX_DEPTH)


def limit(key: str = "a", **changes: Any) -> Limit:
    given: dict[str, Any] = {"key": key, "rate": 1}
    return Limit(**(given | changes))


REFUSED: dict[str, tuple[Any, ...]] = {
    "owner_id": ("", LONG, "a\x00", 1),
    "actor": ("", LONG, "a\nb", None),
    "queue": ("", LONG, "a\x1fb", "\x85", b"default"),
    "unique_key": ("", LONG, "a\x00b"),
    "run_id": ("", LONG, "\x7f"),
    "task_id": ("", LONG, "a\tb"),
    "actor_version": (-1, LARGEST + 1, 1.0, "1"),
    "priority": (0.5, 1.5, True, LARGEST + 1, -LARGEST - 1, math.nan),
    "max_attempts": (0, LARGEST + 1, 2.0),
    "delay": (FOREVER, TOO_LONG, -timedelta(seconds=1), 5),
    "timeout": (FOREVER, TOO_LONG, timedelta(0), timedelta(microseconds=1), 1.5),
    "expires_in": (FOREVER, TOO_LONG, timedelta(0)),
    "unique_for": (FOREVER, TOO_LONG, timedelta(0), "for ever"),
    "limits": ([1], (limit(concurrency=LARGEST + 1),), (limit("a\n"),), (limit(rate=1.5),), (limit(per=FOREVER),)),
    "payload": ({"a": math.nan}, {"a": [math.inf]}, {"a": 2**64}, {"a": b"b"}, {1: 2}, {"a\x00": 1}, TOO_DEEP, [1]),
    "then": ((new_task(priority=0.5),), (new_task(then=(new_task(delay=FOREVER),)),), (new_task(payload=TOO_DEEP),)),
}
ROWS = [(field, value) for field, values in REFUSED.items() for value in values]
Door = Callable[[TaskQueueProtocol, Lease, NewTask], Awaitable[object]]
DOORS: dict[str, Door] = {
    "enqueue": lambda queue, _, task: queue.enqueue(task),
    "enqueue_many": lambda queue, _, task: queue.enqueue_many([new_task(), task]),
    "spawn": lambda queue, lease, task: queue.spawn(lease, "child", task),
}


@pytest.mark.parametrize(("field", "value"), ROWS, ids=[f"{field}-{value!r:.30}" for field, value in ROWS])
async def test_invalid_task_fields_are_refused_by_name(subject: Subject, field: str, value: object) -> None:
    held, lease = await subject.claimed()
    for door in DOORS.values():
        with pytest.raises(InvalidDataError) as caught:
            await door(subject.queue, lease, new_task(**{field: value}))

        assert caught.value.field.startswith("payload" if value is REFUSED["then"][-1] else field)

    assert [task.id for task in await subject.queue.page(owner_id=OWNER)] == [held.id]
    assert await subject.get(held) == held


async def test_largest_accepted_values_come_back_and_run(
    subject: Subject,
) -> None:
    most: dict[str, Any] = {
        "priority": LARGEST,
        "max_attempts": LARGEST,
        "actor_version": LARGEST,
        "timeout": MAX_DURATION,
        "expires_in": MAX_DURATION,
        "unique_for": MAX_DURATION,
        "unique_key": LONG[1:],
        "limits": (Limit(key=LONG[1:], concurrency=LARGEST, rate=LARGEST, per=MAX_DURATION),),
        "payload": nested(MAX_DEPTH - 1),
    }
    task = await subject.queue.enqueue(new_task(**most))
    later = await subject.queue.enqueue(new_task(delay=MAX_DURATION))
    found = await subject.queue.page(owner_id=OWNER)
    (held,) = await subject.queue.claim(claimer("w", f"{task.actor}@{LARGEST}"))

    assert [one.id for one in found] == [later.id, task.id]
    assert (held.priority, held.max_attempts, held.actor_version) == (LARGEST, LARGEST, LARGEST)
    assert held.timeout_seconds == MAX_DURATION.total_seconds()
    assert held.payload == most["payload"]
    assert await subject.queue.recover() == []


async def test_unstorable_name_or_limit_refused_by_control(subject: Subject) -> None:
    queue = subject.queue
    for refused in (
        queue.pause("a\x1fb"),
        queue.resume(LONG),
        queue.set_limit(Limit(key="a\x00", rate=1)),
        queue.claim(claimer("w\n", "echo@1")),
        queue.claim(claimer("w", "echo@1", queues=("a\x1fb",))),
    ):
        with pytest.raises(InvalidDataError):
            await refused

    assert await queue.paused() == set()
    assert await queue.limits() == []


@pytest.mark.parametrize("lease", [FOREVER, timedelta(0), -timedelta(seconds=1)])
def test_unstorable_lease_is_refused(database: Database, lease: timedelta) -> None:
    with pytest.raises(InvalidDataError, match="lease"):
        InMemoryTaskQueue(lease=lease)
    with pytest.raises(InvalidDataError, match="lease"):
        TaskQueue(database, lease=lease)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
async def test_non_positive_limit_is_refused(subject: Subject, limit: Any) -> None:
    queue, everything = subject.queue, TaskFilter(owner_id=OWNER)
    task, _ = await subject.claimed()
    for asked in (
        queue.page(owner_id=OWNER, limit=limit),
        queue.find(everything, limit=limit),
        queue.events(task.id, limit=limit),
        queue.claim(claimer(), limit=limit),
        queue.cancel_many(everything, limit=limit),
        queue.complete_queued(everything, limit=limit),
        queue.replay_many(everything, key="again", limit=limit),
        queue.recover(limit=limit),
        queue.expire(limit=limit),
        queue.prune(older_than=timedelta(0), limit=limit),
    ):
        with pytest.raises(InvalidDataError, match=r"^limit: "):
            await asked

    assert await subject.get(task) == task
