"""Attempt writes are checked and weighed once, when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from appdb import (
    AttemptWrite,
    Claimer,
    Completed,
    Failed,
    InvalidDataError,
    Lease,
    NewEvent,
    NewTask,
    TaskEventType,
    TooLargeError,
    size_limits,
)
from appdb._driver import encoded_size
from appdb.queue.prepared_write import PreparedWrite
from appdb.testing import InMemoryTaskQueue

LEASE = Lease(task_id="tq_1", token="t", attempt=1, max_attempts=3, worker_id="w1")
LAST = Lease(task_id="tq_1", token="t", attempt=3, max_attempts=3, worker_id="w1")
CHUNKS = [NewEvent(type=TaskEventType.CHUNK, data={"n": n}) for n in range(5)]


@pytest.fixture
def weighed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the values that were encoded to be weighed."""
    names: list[str] = []

    def counted(field: str, document: Mapping[str, Any]) -> int:
        names.append(field)
        return encoded_size(field, document)

    monkeypatch.setattr(size_limits, "encoded_size", counted)
    return names


async def test_each_value_of_write_is_weighed_once(weighed: list[str]) -> None:
    queue = InMemoryTaskQueue()
    await queue.enqueue(NewTask(owner_id="usr_a", actor="echo", payload={}))
    (task,) = await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    weighed.clear()
    write = AttemptWrite(lease=Lease.of(task), events=CHUNKS, seq=0, outcome=Completed(result={"n": 1}))
    PreparedWrite(write).statement("mark")
    await queue.commit([write])

    assert weighed == ["chunk event"] * 5 + ["result"]


@pytest.mark.parametrize(
    ("error", "given"),
    [
        (TooLargeError, {"events": [NewEvent(type=TaskEventType.CHUNK, data={"text": "x" * 70_000})]}),
        (TooLargeError, {"events": [NewEvent(type=TaskEventType.CHUNK, data={"text": "x" * 60_000})] * 20}),
        (TooLargeError, {"outcome": Completed(result={"text": "x" * 300_000})}),
        (InvalidDataError, {"outcome": Completed(result={"text": "\ud800"})}),
        (InvalidDataError, {"outcome": Failed(kind="a", message="b", retry_in=timedelta(days=-1))}),
        (InvalidDataError, {"seq": -1}),
        (InvalidDataError, {"outcome": {}}),
        (InvalidDataError, {"outcome": {"result": {"n": 1}}}),
        (InvalidDataError, {"outcome": "completed"}),
    ],
)
def test_write_that_cannot_be_stored_is_not_made(error: type[Exception], given: dict[str, Any]) -> None:
    with pytest.raises(error):
        AttemptWrite(lease=LEASE, **given)


@pytest.mark.parametrize(("lease", "retry_in"), [(LEASE, timedelta(seconds=1)), (LAST, None)])
def test_last_attempt_is_not_retried(lease: Lease, retry_in: timedelta | None) -> None:
    write = AttemptWrite(lease=lease, outcome=Failed(kind="a", message="b", retry_in=timedelta(seconds=1)))

    assert write.effective_outcome == Failed(kind="a", message="b", retry_in=retry_in)
