"""What a holder's write does to a task in memory: the fence, the repeats, and the outcome."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from appdb.events import TaskEventType
from appdb.models.task import NewEvent, TaskError, TaskState
from appdb.queue.journal import check_events
from appdb.queue.lease import Lease
from appdb.queue.sizes import MAX_RESULT_BYTES, check_size
from appdb.queue.task_queue import storable_text
from appdb.queue.writes import AttemptWrite, Completed, Failed, Outcome, Released, Suspended
from appdb.testing.store import Row, Store


def check_write(write: AttemptWrite) -> None:
    """Check that everything in *write* fits.

    Raises:
        TooLargeError: The result is over 256 KiB, or an event over 64 KiB.
        InvalidDataError: A value cannot be stored.
    """
    check_events(write.events)
    if isinstance(write.outcome, Completed):
        check_size("result", write.outcome.result or {}, MAX_RESULT_BYTES)


def apply(store: Store, write: AttemptWrite) -> bool:
    """Apply *write* when its lease holds, and tell whether it stands: now, or since an earlier call."""
    row = store.held(write.lease)
    if row is None or write.seq not in (None, row.task.event_count):
        return _applied_before(store, write)
    if write.outcome is None:
        store.append(row, write.events)
        return True
    last = _last_event(write.lease, write.outcome)
    row.settled = (write.lease.token, last.type)
    _settle(store, row, [*write.events, last], write.outcome)
    return True


def _applied_before(store: Store, write: AttemptWrite) -> bool:
    if write.outcome is not None:
        row = store.rows.get(write.lease.task_id)
        return row is not None and row.settled == (write.lease.token, _last_event(write.lease, write.outcome).type)
    held = store.held(write.lease)
    return held is not None and write.seq is not None and held.task.event_count == write.seq + len(write.events)


def _last_event(lease: Lease, outcome: Outcome) -> NewEvent:
    match outcome:
        case Completed():
            return NewEvent(type=TaskEventType.COMPLETED, data={"attempt": lease.attempt})
        case Failed(retry_in=None):
            return failed(_error(lease, outcome))
        case Failed(retry_in=delay):
            return retrying(_error(lease, outcome), delay or timedelta(0))
        case Released():
            return NewEvent(type=TaskEventType.RELEASED, data={"worker_id": lease.worker_id})
        case Suspended():
            return NewEvent(type=TaskEventType.SUSPENDED, data={"worker_id": lease.worker_id})


def _settle(store: Store, row: Row, events: list[NewEvent], outcome: Outcome) -> None:
    match outcome:
        case Completed(result=result):
            store.finish(row, events, TaskState.COMPLETED, result=result)
        case Failed(retry_in=None):
            store.finish(row, events, TaskState.FAILED, error=_error(Lease.of(row.task), outcome))
        case Failed(retry_in=delay):
            errors = store.errors(row, _error(Lease.of(row.task), outcome))
            store.requeue(row, events, delay or timedelta(0), **errors)
        case Released():
            store.append(row, events, state=TaskState.QUEUED, lease=None, attempt=row.task.attempt - 1)
        case Suspended():
            store.append(row, events, state=TaskState.SCHEDULED, lease=None, attempt=row.task.attempt - 1, waiting=True)
            if not row.task.children_open:
                store.wake(row)


def retrying(error: TaskError, delay: timedelta) -> NewEvent:
    """Return the event that tells of another attempt."""
    data: dict[str, Any] = {
        "attempt": error.attempt,
        "error": _shown(error),
        "delay_seconds": delay.total_seconds(),
    }
    return NewEvent(type=TaskEventType.RETRYING, data=data)


def failed(error: TaskError) -> NewEvent:
    """Return the terminal event of a task that failed."""
    return NewEvent(type=TaskEventType.FAILED, data={"attempt": error.attempt, "error": _shown(error)})


def _shown(error: TaskError) -> dict[str, Any]:
    return error.model_dump(exclude={"at"})


def _error(lease: Lease, outcome: Failed) -> TaskError:
    return TaskError(type=storable_text(outcome.kind), message=storable_text(outcome.message), attempt=lease.attempt)
