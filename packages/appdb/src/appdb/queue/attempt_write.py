"""Attempt writes: the events that a holder appends to its task's log, and at the end one outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import SkipValidation

from appdb.errors import TooLargeError
from appdb.models.bounds import STRICT, Count, Pause, accept
from appdb.models.task_events import NewEvent
from appdb.queue.lease import Lease
from appdb.queue.log_events import check_events
from appdb.size_limits import MAX_RESULT_BYTES, MAX_WRITE_BYTES, check_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The task is done.

    Args:
        result: What it gave; at most 256 KiB as BSON.
    """

    __pydantic_config__ = STRICT
    result: Annotated[Mapping[str, Any] | None, SkipValidation] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The attempt ended with an error.

    Args:
        kind: The error's type, such as ``ProviderError``.
        message: What went wrong, for the owner; at most 4,000 characters are kept.
        retry_in: The pause before the next attempt, at most a hundred years; ``None`` when the task fails for good.
    """

    __pydantic_config__ = STRICT
    kind: str
    message: str
    retry_in: Pause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The task is handed back as if it had not been claimed: the attempt does not count."""

    __pydantic_config__ = STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """The task waits for its children, and runs again when the last of them is final; the attempt does not count."""

    __pydantic_config__ = STRICT


AttemptOutcome = Completed | Failed | Released | Suspended


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptWrite:
    """
    One write of one attempt, which is checked when it is made, and not again.

    Args:
        lease: The lease that the fence checks.

        events: What to append to the log, in order; at most 64 KiB each.

        seq: The number of the first event, counted by the holder, which makes a repeated write harmless; ``None`` to
            let the log count, for a holder that repeats nothing.

        outcome: How the attempt ends, if it does.

    Raises:
        TooLargeError: An event is over 64 KiB, all of them over 1 MiB, or the result over 256 KiB.
        InvalidDataError: Something cannot be stored.
    """

    lease: Lease
    events: Sequence[NewEvent] = ()
    seq: int | None = None
    outcome: AttemptOutcome | None = None
    event_bytes: int = field(init=False, repr=False, compare=False)
    """What the data of its events weighs as BSON."""
    result_bytes: int = field(init=False, repr=False, compare=False)
    """What its result weighs as BSON."""

    def __post_init__(self) -> None:
        # Here and not at the commit, so that one write that does not fit fails alone and not with a whole batch.
        accept(Lease, self.lease, "lease")
        accept(Count | None, self.seq, "seq")
        accept(AttemptOutcome | None, self.outcome, "outcome")
        # To weigh a value is to encode it, so each is weighed here once and its weight travels with it.
        object.__setattr__(self, "event_bytes", self._weighed_events())
        object.__setattr__(self, "result_bytes", self._weighed_result())

    def _weighed_events(self) -> int:
        size = check_events(self.events)
        if size > MAX_WRITE_BYTES:
            raise TooLargeError("events of one write", size, MAX_WRITE_BYTES)
        return size

    def _weighed_result(self) -> int:
        if isinstance(self.outcome, Completed):
            return check_size("result", self.outcome.result or {}, MAX_RESULT_BYTES)
        return 0

    @property
    def effective_outcome(self) -> AttemptOutcome | None:
        """The outcome; for good where it asks for another attempt and this was the last one."""
        if isinstance(self.outcome, Failed) and self.lease.is_last_attempt:
            return replace(self.outcome, retry_in=None)
        return self.outcome

    @property
    def is_repeatable(self) -> bool:
        """Whether the database can tell that it has this write already."""
        return self.seq is not None or self.outcome is not None or not self.events
