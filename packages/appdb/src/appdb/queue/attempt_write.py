"""What a holder writes about its attempt: events, and at the end one outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import SkipValidation

from appdb.models.bounds import STRICT, Count, Pause
from appdb.models.task_events import NewEvent
from appdb.queue.lease import Lease


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """The task waits for its children, and runs again when the last of them is final; the attempt does not count."""


Outcome = Completed | Failed | Released | Suspended


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptWrite:
    """One write of one attempt.

    Args:
        lease: The fence.
        events: What to append to the log, in order; at most 64 KiB each.
        seq: The number of the first event, counted by the holder, which makes a repeated write harmless; ``None`` to
            let the log count, for a holder that repeats nothing.
        outcome: How the attempt ends, if it does.
    """

    __pydantic_config__ = STRICT
    lease: Lease
    events: Annotated[Sequence[NewEvent], SkipValidation] = ()
    seq: Count | None = None
    outcome: Outcome | None = None

    @property
    def repeatable(self) -> bool:
        """Whether the database can tell that it has this write already."""
        return self.seq is not None or self.outcome is not None or not self.events
