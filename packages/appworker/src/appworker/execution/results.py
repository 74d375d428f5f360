"""The result of an actor: how one run of it ended, also where it raised an error."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from appworker.errors import DiscardError, RetryLaterError, SuspendedError, TaskStoppedError
from appworker.execution.stop import StopReason

MAX_MESSAGE_CHARACTERS = 4_000
"""Of an error's text that is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorDone:
    """The actor returned."""

    result: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorFailed:
    """The actor raised, or its process died.

    Args:
        kind: The error's class, or what happened in one word.
        message: For the owner.
        retry: Whether another attempt may help.
        retry_in: The pause before it, where the actor named one.
    """

    kind: str
    message: str
    retry: bool
    retry_in: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStopped:
    """The actor ended because it had to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorSuspended:
    """The actor waits for its children, and is run again once they are final."""


ActorResult = ActorDone | ActorFailed | ActorStopped | ActorSuspended


def actor_result_of(error: BaseException, stop: StopReason | None) -> ActorResult:
    """Return what *error* means for the attempt that it ended.

    Args:
        error: What the actor raised, even ``SystemExit``.
        stop: Why the attempt had to end, if it had to.
    """
    match error:
        case SuspendedError():
            return ActorSuspended()
        # Before the stop: the actor knows that no further attempt can help.
        case DiscardError():
            return ActorFailed(kind="Discarded", message=told(error.reason), retry=False)
        # Whatever an actor raises once it must end is a consequence of the stop, and no failure.
        case _ if stop is not None:
            return ActorStopped()
        case RetryLaterError():
            return ActorFailed(kind="RetryLater", message=told(error.reason), retry=True, retry_in=error.after)
    stopped_itself = isinstance(error, TaskStoppedError | asyncio.CancelledError)
    message = "the actor stopped itself" if stopped_itself else told(error)
    return ActorFailed(kind=type(error).__name__, message=message, retry=True)


def told(reason: object) -> str:
    """Return *reason* as text: an attempt must end whatever its actor gives for a reason."""
    try:
        return str(reason)[:MAX_MESSAGE_CHARACTERS]
    except BaseException:  # noqa: BLE001 - the actor's own code runs here, and may raise anything, SystemExit too
        return f"{type(reason).__name__}, which cannot be told: its __str__ fails"
