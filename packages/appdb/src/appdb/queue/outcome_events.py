"""AttemptOutcome events: the event of a task's log that tells how an attempt ended, and the error in it; pure."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from pydantic import JsonValue

from appdb.events import TaskEventType
from appdb.models.task_events import NewEvent
from appdb.queue.attempt_write import AttemptOutcome, Completed, Failed, Released, Suspended
from appdb.queue.lease import Lease
from appdb.size_limits import storable_text


def outcome_event(outcome: AttemptOutcome, lease: Lease) -> NewEvent:
    """Return the event that tells of *outcome*."""
    match outcome:
        case Completed():
            return NewEvent(type=TaskEventType.COMPLETED, data={"attempt": lease.attempt})
        case Failed(retry_in=timedelta() as pause):
            return retrying_event(error_of(outcome, lease), pause)
        case Failed():
            return failed_event(error_of(outcome, lease))
        case Released():
            return NewEvent(type=TaskEventType.RELEASED, data={"worker_id": lease.worker_id})
        case Suspended():
            return NewEvent(type=TaskEventType.SUSPENDED, data={"worker_id": lease.worker_id})
        case _:
            assert_never(outcome)


def error_of(outcome: Failed, lease: Lease) -> dict[str, JsonValue]:
    """Return the error of *outcome* as a task and its events show it."""
    return {"type": storable_text(outcome.kind), "message": storable_text(outcome.message), "attempt": lease.attempt}


def failed_event(error: dict[str, JsonValue]) -> NewEvent:
    """Return the event of a task that failed for good with *error*."""
    return NewEvent(type=TaskEventType.FAILED, data={"attempt": error["attempt"], "error": error})


def retrying_event(error: dict[str, JsonValue], pause: timedelta) -> NewEvent:
    """Return the event of an attempt that failed with *error*, and that another one follows after *pause*."""
    data: dict[str, JsonValue] = {"attempt": error["attempt"], "error": error, "delay_seconds": pause.total_seconds()}
    return NewEvent(type=TaskEventType.RETRYING, data=data)
