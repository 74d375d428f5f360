"""Waits, sub-actions and taken messages: what is under way in a run, as parts of its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from appdb.events import DbEventType
from appdb.models.events import EventSummary
from appdb.models.vocabulary import Stored


class WaitKind(StrEnum):
    """The kinds of waits of a run."""

    TASK = "task"
    TIMER = "timer"
    INTERACTION = "interaction"
    CHILD = "child"
    """A child run."""
    SIGNAL = "signal"
    """A message from outside, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One thing that a run waits for.

    Args:
        kind: What it is; a newer release may know more kinds.
        id: The id of the task, timer, interaction or child run, or the name of the signal.
        label: Words for people.
        since: The time of the event that began the wait.
        until: When the wait ends at the latest, if that is known.
        step: The step that waits.
        module: The module that waits.
        sub_action_id: The sub-action that waits, if it is one.
        event_id: The event that began the wait.
        seq: The number of that event.
    """

    kind: Stored[WaitKind]
    id: str
    label: str | None
    since: datetime
    until: datetime | None
    step: str | None
    module: str | None
    sub_action_id: str | None
    event_id: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubAction:
    """A part of a module's work that is done outside of it; of one that was tried again, the last try.

    Args:
        id: Its id, unique on the run's line of history.
        step: The step of its module.
        module: Its module, with which it is undone.
        started: The event that began it.
        ended: The event with its result or its error; ``None`` while it is open.
    """

    id: str
    step: str
    module: str
    started: EventSummary
    ended: EventSummary | None

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self.ended is not None and self.ended.type is DbEventType.SUB_ACTION_FAILED

    @property
    def completed(self) -> bool:
        """Whether it ended with a result."""
        return self.ended is not None and not self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleWork:
    """The sub-actions of one module, sorted, so that nobody has to look at each of them.

    Args:
        all: By id, all of them, in the order of their starts.
        open: Those that have not ended, in the order of their starts.
        failed: Those that ended with an error, in the order of their ends.
    """

    all: Mapping[str, SubAction] = field(default_factory=dict)
    open: Mapping[str, SubAction] = field(default_factory=dict)
    failed: Mapping[str, SubAction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenSignal:
    """A message that was taken, and by whom: with that module it is given back.

    Args:
        signal: The event by which it was received.
        step: The step that took it.
        module: The module that took it.
        sub_action_id: The sub-action that took it, if it was one.
    """

    signal: EventSummary
    step: str
    module: str
    sub_action_id: str | None
