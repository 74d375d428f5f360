"""The writes of an attempt to a task in memory: the lease's check, repeated events, and the outcome."""

from __future__ import annotations

from datetime import timedelta

from pydantic import JsonValue

from appdb.models.task_events import NewEvent
from appdb.models.tasks import TaskError, TaskState
from appdb.queue.attempt_write import AttemptOutcome, AttemptWrite, Completed, Failed, Released, Suspended
from appdb.queue.outcome_events import outcome_event
from appdb.testing.store import InMemoryTask, TaskStore


def apply(store: TaskStore, write: AttemptWrite) -> bool:
    """Apply *write* when its lease holds, and tell whether it stands: now, or since an earlier call."""
    # As in the database: a failure of the last attempt is for good, whatever it asks for.
    outcome = write.effective_outcome
    row = store.held(write.lease)
    # A number that is not the next one: the write was applied before, or the lease is lost.
    if row is None or write.seq not in (None, row.task.event_count):
        return _applied_before(store, write)
    if outcome is None:
        store.append(row, write.events)
        return True
    last = outcome_event(outcome, write.lease)
    row.settled = (write.lease.token, last.type)
    _settle(store, row, [*write.events, last], outcome)
    return True


def _applied_before(store: TaskStore, write: AttemptWrite) -> bool:
    if (outcome := write.effective_outcome) is not None:
        row = store.rows.get(write.lease.task_id)
        return row is not None and row.settled == (write.lease.token, outcome_event(outcome, write.lease).type)
    held = store.held(write.lease)
    return held is not None and write.seq is not None and held.task.event_count == write.seq + len(write.events)


def _settle(store: TaskStore, row: InMemoryTask, events: list[NewEvent], outcome: AttemptOutcome) -> None:
    match outcome:
        case Completed(result=result):
            store.finish(row, events, TaskState.COMPLETED, result=result)
        case Failed(retry_in=timedelta() as pause):
            store.requeue(row, events, pause, _error(events[-1]))
        case Failed():
            store.finish(row, events, TaskState.FAILED, error=_error(events[-1]))
        case Released():
            store.hand_back(row, events)
        case Suspended():
            store.suspend(row, events)


def _error(event: NewEvent) -> TaskError:
    return TaskError.model_validate(event.data["error"])


def shown_error(error: TaskError) -> dict[str, JsonValue]:
    """Return *error* as an event tells it."""
    return {"type": error.type, "message": error.message, "attempt": error.attempt}
