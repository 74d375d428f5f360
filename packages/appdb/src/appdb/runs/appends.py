"""Appends: new events, checked and weighed, ready to be stored."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appdb.errors import InvalidDataError, TooLargeError
from appdb.models.bounds import accept
from appdb.models.events import NewRunEvent, RunEvent
from appdb.runs.preconditions import Preconditions, preconditions
from appdb.runs.reserved_data import check_reserved
from appdb.runs.size_limits import MAX_APPEND_BYTES, MAX_APPEND_EVENTS, MAX_RUN_EVENT_BYTES, MAX_STEP_NAME_CHARACTERS
from appdb.runs.transitions import EventSubject, position_changes
from appdb.size_limits import check_size


@dataclass(frozen=True, slots=True)
class KnownRun:
    """The run as a caller knows it, who appends behind that; ``None`` for whatever it is.

    Args:
        seq: How many events its log has: the number that the first new one gets.
        updated_at: When it was changed last.
    """

    seq: int | None = None
    updated_at: datetime | None = None


ANYTHING = KnownRun()


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Checked events that are ready to be appended to one branch of a run."""

    run_id: str
    owner_id: str
    branch_id: str
    after: KnownRun
    events: Sequence[NewRunEvent]
    subjects: Sequence[EventSubject]
    preconditions: Preconditions
    hands_over: bool = True
    """Whether the next run of the project begins where these end the open one."""

    @property
    def changes(self) -> dict[str, Any]:
        """The fields of the run's position that the events set."""
        return {name: value for subject in self.subjects for name, value in position_changes(subject).items()}


def checked_append(
    run_id: str, owner_id: str, branch_id: str, events: Sequence[NewRunEvent], after: KnownRun = ANYTHING
) -> Append:
    """Return *events* ready to be appended.

    Raises:
        InvalidDataError: There is none, one lacks what its type needs, or they contradict each other.
        TooLargeError: One or all of them are over the limit.
    """
    if not 1 <= len(events) <= MAX_APPEND_EVENTS:
        raise InvalidDataError("events", f"give 1 to {MAX_APPEND_EVENTS:,} in one call")
    size = sum(weight_of(event) for event in events)
    if size > MAX_APPEND_BYTES:
        raise TooLargeError("events", size, MAX_APPEND_BYTES)
    subjects = [subject_of(event) for event in events]
    return Append(
        run_id=run_id,
        owner_id=owner_id,
        branch_id=branch_id,
        after=after,
        events=events,
        subjects=subjects,
        preconditions=preconditions(subjects),
    )


def weight_of(event: NewRunEvent) -> int:
    """Check that *event* can be stored, and return what its data weighs, in bytes.

    Raises:
        InvalidDataError: A part of it cannot be stored.
        TooLargeError: Its data is over the limit.
    """
    accept(NewRunEvent, event)
    return check_size(f"{event.type} event", event.data, MAX_RUN_EVENT_BYTES)


def says_the_same(stored: RunEvent, event: NewRunEvent, subject: EventSubject, told: Collection[str] = ()) -> bool:
    """Return whether *event* equals what was *stored*, apart from the names in *told*, which the log adds itself."""
    if (stored.type, stored.step, stored.module, stored.interaction_id) != (
        subject.type,
        subject.step,
        subject.module,
        subject.interaction_id,
    ):
        return False
    return _as_json(event.data) == _as_json({name: stored.data[name] for name in stored.data if name not in told})


def _as_json(data: Mapping[str, Any]) -> str:
    # Compared as text: for Python 1, 1.0 and True are equal, for a reader of the event they are not.
    return json.dumps(data, sort_keys=True)


def subject_of(event: NewRunEvent) -> EventSubject:
    """Return the subject of *event*, its names checked."""
    subject = EventSubject.of(event)
    check_reserved(event)
    for name in ("step", "module", "interaction_id"):
        check_name(name, getattr(subject, name))
    return subject


def check_name(field: str, name: str | None) -> None:
    """Check that a *name* fits into an index.

    Raises:
        InvalidDataError: It is too long, or cannot be stored.
    """
    if name is None:
        return
    check_size(field, {field: name}, 8 * MAX_STEP_NAME_CHARACTERS)
    if not 1 <= len(name) <= MAX_STEP_NAME_CHARACTERS:
        raise InvalidDataError(field, f"give 1 to {MAX_STEP_NAME_CHARACTERS:,} characters")
