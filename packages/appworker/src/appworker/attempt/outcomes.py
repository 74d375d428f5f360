"""The outcome of an attempt in the database, as it follows from the actor's result."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from pydantic import BaseModel

from appdb import AttemptOutcome, Completed, Failed, Released, Suspended
from appdb.models import MAX_DURATION
from appworker.actors.base import Actor
from appworker.attempt.attempt import Attempt
from appworker.errors import TaskStoppedError
from appworker.execution.results import ActorDone, ActorFailed, ActorResult, ActorStopped, ActorSuspended
from appworker.execution.stop import StopReason


def outcome_of(result: ActorResult, attempt: Attempt, actor: Actor[BaseModel]) -> AttemptOutcome:
    """Return the outcome to write for *result*.

    Raises:
        TaskStoppedError: The lease is lost, so nothing may be written.
    """
    match result:
        case ActorDone(result=returned):
            return Completed(result=returned)
        case ActorFailed():
            return _failed(result, attempt, actor)
        case ActorSuspended():
            return Suspended()
        case ActorStopped():
            return _stopped(attempt, actor)
        case _:
            assert_never(result)


def _stopped(attempt: Attempt, actor: Actor[BaseModel]) -> AttemptOutcome:
    reason, refusal = attempt.stop.reason, attempt.events.refusal
    if reason is StopReason.DRAIN:
        # Draining is no fault of the task: the attempt does not count.
        return Released()
    if reason is StopReason.TIMEOUT:
        failed = ActorFailed(kind="Timeout", message="the attempt was out of time", retry=True)
    elif reason is StopReason.REFUSED and refusal is not None:
        failed = ActorFailed(kind=type(refusal).__name__, message=str(refusal), retry=True)
    else:
        raise TaskStoppedError(attempt.task.id, StopReason.LEASE_LOST)
    return _failed(failed, attempt, actor)


def _failed(failed: ActorFailed, attempt: Attempt, actor: Actor[BaseModel]) -> Failed:
    return Failed(kind=failed.kind, message=failed.message, retry_in=_retry_in(failed, attempt, actor))


def _retry_in(failed: ActorFailed, attempt: Attempt, actor: Actor[BaseModel]) -> timedelta | None:
    """Return the pause before the next attempt, or ``None`` when there must be none."""
    if not failed.retry or attempt.lease.is_last_attempt:
        return None
    pause = actor.retry.delay(attempt.task.attempt) if failed.retry_in is None else failed.retry_in
    # A retry policy has no bound of its own; the database takes a hundred years.
    return min(pause, MAX_DURATION)
