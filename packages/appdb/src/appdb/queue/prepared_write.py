"""One write of an attempt, worked out before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, assert_never

from pydantic import JsonValue

from appdb._driver import RawDocument, UpdateOne
from appdb._queries import tasks as queries
from appdb._queries.expressions import literal
from appdb.errors import TooLargeError
from appdb.events import TaskEventType
from appdb.models.bounds import accept
from appdb.models.task_events import NewEvent
from appdb.models.tasks import TaskState
from appdb.queue.attempt_write import AttemptWrite, Completed, Failed, Outcome, Released, Suspended
from appdb.queue.lease import Lease
from appdb.queue.task_log import check_events, latest_progress, stored_form
from appdb.size_limits import MAX_ERROR_CHARACTERS, MAX_RECENT_EVENTS, MAX_RESULT_BYTES, MAX_WRITE_BYTES, check_size


class PreparedWrite:
    """What *write* changes, and how to tell afterwards whether it did.

    Raises:
        TooLargeError: An event is over 64 KiB, all of them over 1 MiB, or the result over 256 KiB.
        InvalidDataError: Something cannot be stored.
    """

    def __init__(self, write: AttemptWrite) -> None:
        self.event_bytes, self.result_bytes = check_write(write)
        self.lease = write.lease
        self.seq = write.seq
        self._outcome = bounded(write.outcome, write.lease)
        self.ends = self._outcome is not None
        self.completes = isinstance(self._outcome, Completed)
        last = [] if self._outcome is None else [event_of(self._outcome, write.lease)]
        self._events = [*write.events, *last]
        self._kind = last[0].type.value if last else ""

    @property
    def event_count(self) -> int:
        """How many events it appends."""
        return len(self._events)

    @property
    def fills_log(self) -> bool:
        """Whether its events bring the log past another page, counted over all attempts and holders."""
        if self.seq is None or not self._events:
            return False
        last = self.seq + len(self._events) - 1
        return max(self.seq - 1, 0) // MAX_RECENT_EVENTS < last // MAX_RECENT_EVENTS

    @property
    def batch_row(self) -> dict[str, Any]:
        """What a statement for many tasks must know of this one."""
        result = self._outcome.result if isinstance(self._outcome, Completed) else None
        return {
            "task_id": self.lease.task_id,
            "events": stored_form(self._events),
            "progress": latest_progress(self._events),
            "result": None if result is None else dict(result),
        }

    def statement(self, mark: str, more: Mapping[str, Any] | None = None) -> UpdateOne:
        """Return the statement for this task only: for what is rare, and differs from task to task."""
        match = queries.held(self.lease.task_id, self.lease.token) | dict(more or {})
        if self.seq is not None:
            match["event_count"] = self.seq
        changes = {} if self._outcome is None else _changes(self._outcome, self.lease)
        signed = queries.settled_by(self.lease.token, self._kind) | {"commit": literal(mark)}
        return UpdateOne(
            match, queries.logged(stored_form(self._events), latest_progress(self._events), changes | signed)
        )

    def done(self, task: RawDocument | None, mark: str) -> bool:
        """Whether *task* shows this write: that of the commit *mark*, or an earlier one whose answer was lost."""
        if task is None:
            return False
        return task.get("commit") == mark or self._done_before(task)

    def _done_before(self, task: RawDocument) -> bool:
        if self.ends:
            return bool(task.get("settled") == {"token": self.lease.token, "kind": self._kind})
        return (
            self._holds_lease(task)
            and self.seq is not None
            and task.get("event_count") == self.seq + len(self._events)
            and len(self._events) > 0
        )

    def holds(self, task: RawDocument | None) -> bool:
        """Whether the fence would let this write pass."""
        if task is None or not self._holds_lease(task):
            return False
        return self.seq is None or bool(task.get("event_count") == self.seq)

    def _holds_lease(self, task: RawDocument) -> bool:
        # Other software may have written anything there, which then holds nothing.
        lease = task.get("lease")
        held = isinstance(lease, dict) and lease.get("token") == self.lease.token
        return held and task.get("state") == TaskState.PROCESSING


def check_write(write: AttemptWrite) -> tuple[int, int]:
    """Check that *write* fits, before anything is sent, and return what its events and its result weigh, in bytes.

    Raises:
        TooLargeError: An event is over 64 KiB, all of them over 1 MiB, or the result over 256 KiB.
        InvalidDataError: Something cannot be stored.
    """
    accept(AttemptWrite, write)
    size = check_events(write.events)
    if size > MAX_WRITE_BYTES:
        raise TooLargeError("events of one write", size, MAX_WRITE_BYTES)
    if isinstance(write.outcome, Completed):
        return size, check_size("result", write.outcome.result or {}, MAX_RESULT_BYTES)
    return size, 0


def bounded(outcome: Outcome | None, lease: Lease) -> Outcome | None:
    """Return *outcome*, for good when it asks for another attempt and there is none left."""
    if isinstance(outcome, Failed) and lease.attempt >= lease.max_attempts:
        return replace(outcome, retry_in=None)
    return outcome


def storable_text(message: str) -> str:
    """Return *message* without what UTF-8 cannot hold, and not longer than an error may be."""
    return message.encode("utf-8", "replace").decode()[:MAX_ERROR_CHARACTERS]


def _error(outcome: Failed, lease: Lease) -> dict[str, JsonValue]:
    return {"type": storable_text(outcome.kind), "message": storable_text(outcome.message), "attempt": lease.attempt}


def event_of(outcome: Outcome, lease: Lease) -> NewEvent:
    """Return the event that tells of *outcome*."""
    match outcome:
        case Completed():
            return NewEvent(type=TaskEventType.COMPLETED, data={"attempt": lease.attempt})
        case Failed(retry_in=timedelta() as pause):
            return retrying(lease.attempt, _error(outcome, lease), pause.total_seconds())
        case Failed():
            data: dict[str, JsonValue] = {"attempt": lease.attempt, "error": _error(outcome, lease)}
            return NewEvent(type=TaskEventType.FAILED, data=data)
        case Released():
            return NewEvent(type=TaskEventType.RELEASED, data={"worker_id": lease.worker_id})
        case Suspended():
            return NewEvent(type=TaskEventType.SUSPENDED, data={"worker_id": lease.worker_id})
        case _:
            assert_never(outcome)


def _changes(outcome: Outcome, lease: Lease) -> dict[str, Any]:
    match outcome:
        case Completed(result=result):
            return queries.settle(TaskState.COMPLETED, result, None)
        case Failed(retry_in=timedelta() as pause):
            return queries.reschedule(pause, _error(outcome, lease))
        case Failed():
            return queries.settle(TaskState.FAILED, None, _error(outcome, lease))
        case Released():
            return queries.hand_back()
        case Suspended():
            return queries.suspend()
        case _:
            assert_never(outcome)


def retrying(attempt: int, error: dict[str, JsonValue], delay_seconds: float) -> NewEvent:
    """Return the event of an attempt that failed and that another one follows."""
    data: dict[str, JsonValue] = {"attempt": attempt, "error": error, "delay_seconds": delay_seconds}
    return NewEvent(type=TaskEventType.RETRYING, data=data)
