"""Transitions: the changes that each event type makes to a run's position, and its preconditions.

One table serves the fold and the caches beside the log, so the two cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from appdb.errors import InvalidDataError
from appdb.events import DbEventType as E
from appdb.models.events import NewRunEvent
from appdb.models.workflow_runs import RunStatus

ENDINGS: Mapping[E, RunStatus] = {
    E.WORKFLOW_TARGET_REACHED: RunStatus.TARGET_REACHED,
    E.WORKFLOW_VALIDATION_FAILED: RunStatus.VALIDATION_FAILED,
    E.WORKFLOW_COMPLETED: RunStatus.COMPLETED,
    E.WORKFLOW_ERROR: RunStatus.ERROR,
    E.WORKFLOW_CANCELLED: RunStatus.CANCELLED,
}
WORK = frozenset(
    {
        E.STEP_STARTED,
        E.STEP_COMPLETED,
        E.MODULE_STARTED,
        E.MODULE_COMPLETED,
        E.MODULE_ERROR,
        E.INTERACTION_REQUESTED,
        E.INTERACTION_RESPONSE,
    }
)
"""Events that only a run which has not ended accepts."""
BRANCH_OPENERS = frozenset({E.WORKFLOW_CREATED, E.JUMP_REQUESTED, E.WORKFLOW_RECOVERED})
"""Events that begin a branch; they are never appended to one."""
BRANCH_REASONS = frozenset({E.JUMP_REQUESTED, E.WORKFLOW_RECOVERED, E.WORKFLOW_RESUMED})
"""Events that only give a branch's reason. A fork right after one may as well be placed before it."""
UNSTABLE = frozenset({E.STEP_STARTED, E.MODULE_STARTED, E.MODULE_ERROR, E.SUB_ACTION_STARTED, E.WORKFLOW_RECOVERED})
"""After these events work was in progress; how far it got was known only to the host that did it."""
RESUMABLE = frozenset({RunStatus.TARGET_REACHED, RunStatus.VALIDATION_FAILED})
"""Endings at which the user decides what follows; the run can still end in another way."""

_GOES_ON: Mapping[str, Any] = {"started": True, "ended": None}
_GOES_BACK: Mapping[str, Any] = {**_GOES_ON, "module": None, "interaction_id": None}
_FIXED: Mapping[E, Mapping[str, Any]] = {
    E.WORKFLOW_CREATED: {"step": None, "module": None, "interaction_id": None, "started": False, "ended": None},
    E.WORKFLOW_RESUMED: _GOES_ON,
    E.RETRY_REQUESTED: _GOES_BACK,
    E.JUMP_REQUESTED: _GOES_BACK,
    E.STEP_STARTED: {"started": True, "module": None},
    E.STEP_COMPLETED: {"started": True, "step": None, "module": None},
    E.MODULE_STARTED: {"started": True},
    E.MODULE_COMPLETED: {"started": True, "module": None},
    E.MODULE_ERROR: {"started": True},
    E.INTERACTION_REQUESTED: {"started": True},
    E.INTERACTION_RESPONSE: {"started": True, "interaction_id": None},
    **{event: {"ended": status, "interaction_id": None} for event, status in ENDINGS.items()},
}
_TAKEN: Mapping[E, tuple[str, ...]] = {
    E.RETRY_REQUESTED: ("step",),
    E.STEP_STARTED: ("step",),
    E.MODULE_STARTED: ("step", "module"),
    E.INTERACTION_REQUESTED: ("step", "module", "interaction_id"),
}
_NEEDED: Mapping[E, tuple[str, ...]] = {
    E.STEP_STARTED: ("step",),
    E.STEP_COMPLETED: ("step",),
    E.MODULE_STARTED: ("step", "module"),
    E.MODULE_COMPLETED: ("step", "module"),
    E.MODULE_ERROR: ("step", "module"),
    E.INTERACTION_REQUESTED: ("interaction_id",),
    E.INTERACTION_RESPONSE: ("interaction_id",),
    E.RETRY_REQUESTED: ("module",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSubject:
    """The parts of an event that decide the position: its type, and the step, module and interaction it names."""

    type: E
    step: str | None
    module: str | None
    interaction_id: str | None

    @classmethod
    def of(cls, event: NewRunEvent) -> EventSubject:
        """Return the subject of *event*; a retry is about the step and module that it leads to.

        Raises:
            InvalidDataError: A name that its type needs is missing, or is no text.
        """
        retry = event.type is E.RETRY_REQUESTED
        subject = cls(
            type=event.type,
            step=event.step or (_text(event, "target_step") if retry else None),
            module=event.module or (_text(event, "target_module") if retry else None),
            interaction_id=_text(event, "interaction_id"),
        )
        for name in _NEEDED.get(event.type, ()):
            if not getattr(subject, name):
                raise InvalidDataError(f"{event.type} event", f"it needs a {name}; give one")
        return subject


def _text(event: NewRunEvent, name: str) -> str | None:
    value = event.data.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidDataError(f"{event.type} event", f"{name} must be text")
    return value


def position_changes(subject: EventSubject) -> dict[str, Any]:
    """Return the fields of ``Position`` that an event sets; all others stay as they are."""
    taken = {name: getattr(subject, name) for name in _TAKEN.get(subject.type, ())}
    return {**_FIXED.get(subject.type, {}), **{name: value for name, value in taken.items() if value is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preconditions:
    """Conditions that a run must meet before events are appended to it.

    Args:
        ended: The endings that the run may have. ``None`` in the set stands for a run that has not ended; ``None`` in
            place of the set allows every run.
        interaction_id: The interaction that must be pending; ``None`` for any or none.
        free: No interaction may be pending.
        in_step: A step must be open.
    """

    ended: frozenset[RunStatus | None] | None = None
    interaction_id: str | None = None
    free: bool = False
    in_step: bool = False


_ALLOWED: Mapping[E, frozenset[RunStatus | None]] = {
    **dict.fromkeys(WORK, frozenset({None})),
    **dict.fromkeys(ENDINGS, frozenset({None, *RESUMABLE})),
}


def preconditions(events: Iterable[EventSubject]) -> Preconditions:
    """Return the conditions that a run must meet for *events* to be appended in this order.

    Raises:
        InvalidDataError: No run could accept these events: one begins a branch, follows an ending, answers an
            interaction that an earlier one settled, asks while an earlier one asks, or repeats a module of no step.
    """
    # What an earlier event of the list sets is known here; only the rest is asked of the stored run.
    needed = Preconditions()
    known: dict[str, Any] = {}
    for subject in events:
        if subject.type in BRANCH_OPENERS:
            raise InvalidDataError(
                f"{subject.type} event", "it begins a branch; reset, jump or recover the run instead"
            )
        allowed = _ALLOWED.get(subject.type)
        if allowed is not None:
            needed = replace(needed, ended=_with_end(subject, allowed, known, needed.ended))
        match subject.type:
            case E.INTERACTION_RESPONSE:
                needed = replace(needed, interaction_id=_with_answer(subject, known, needed.interaction_id))
            # A run asks its user one thing at a time: nothing replaces a pending question.
            case E.INTERACTION_REQUESTED:
                needed = replace(needed, free=_with_request(subject, known, free=needed.free))
            case E.RETRY_REQUESTED if subject.step is None:
                needed = replace(needed, in_step=_with_retry(subject, known, in_step=needed.in_step))
        known |= position_changes(subject)
    return needed


def _with_end(
    subject: EventSubject,
    allowed: frozenset[RunStatus | None],
    known: Mapping[str, Any],
    needed: frozenset[RunStatus | None] | None,
) -> frozenset[RunStatus | None] | None:
    if "ended" not in known:
        return allowed if needed is None else needed & allowed
    if known["ended"] not in allowed:
        raise InvalidDataError(f"{subject.type} event", f"an event before it ends the run as {known['ended']}")
    return needed


def _with_answer(subject: EventSubject, known: Mapping[str, Any], needed: str | None) -> str | None:
    if "interaction_id" not in known:
        return subject.interaction_id
    if known["interaction_id"] != subject.interaction_id:
        raise InvalidDataError(f"{subject.type} event", "an event before it settles or replaces the interaction")
    return needed


def _with_request(subject: EventSubject, known: Mapping[str, Any], *, free: bool) -> bool:
    if "interaction_id" not in known:
        return True
    if known["interaction_id"] is not None:
        problem = "an event before it asks already; the user answers one at a time"
        raise InvalidDataError(f"{subject.type} event", problem)
    return free


def _with_retry(subject: EventSubject, known: Mapping[str, Any], *, in_step: bool) -> bool:
    if "step" not in known:
        return True
    if known["step"] is None:
        raise InvalidDataError(f"{subject.type} event", "an event before it completes the step; name the step")
    return in_step
