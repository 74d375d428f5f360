"""Transitions: the changes that each event type makes to a run's position.

One table serves the fold and the caches beside the log, so the two cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
SETTLES = (E.INTERACTION_RESPONSE, E.INTERACTION_EXPIRED)
"""Events that settle the pending interaction."""
WORK = frozenset(
    {
        E.STEP_STARTED,
        E.STEP_COMPLETED,
        E.MODULE_STARTED,
        E.MODULE_COMPLETED,
        E.MODULE_ERROR,
        E.INTERACTION_REQUESTED,
        E.INTERACTION_RESPONSE,
        E.INTERACTION_EXPIRED,
        E.MODULE_SKIPPED,
        E.TIMER_FIRED,
    }
)
"""Events that only a run which has not ended accepts."""
BRANCH_OPENERS = frozenset({E.WORKFLOW_CREATED, E.JUMP_REQUESTED, E.WORKFLOW_RECOVERED, E.BRANCH_SWITCHED})
"""Events that begin a branch; they are never appended to one."""
BRANCH_REASONS = frozenset({E.JUMP_REQUESTED, E.WORKFLOW_RECOVERED, E.WORKFLOW_RESUMED, E.BRANCH_SWITCHED})
"""Events that only give a branch's reason. A fork right after one may as well be placed before it."""
UNSTABLE = frozenset({E.STEP_STARTED, E.MODULE_STARTED, E.MODULE_ERROR, E.SUB_ACTION_STARTED, E.WORKFLOW_RECOVERED})
"""After these events work was in progress; how far it got was known only to the host that did it."""
RESUMABLE = frozenset({RunStatus.TARGET_REACHED, RunStatus.VALIDATION_FAILED})
"""Endings at which the user decides what follows; the run can still end in another way."""

_GOES_ON: Mapping[str, Any] = {"started": True, "waiting": False, "ended": None}
_GOES_BACK: Mapping[str, Any] = {**_GOES_ON, "module": None, "interaction_id": None}
_FIXED: Mapping[E, Mapping[str, Any]] = {
    E.WORKFLOW_CREATED: {
        "step": None,
        "module": None,
        "interaction_id": None,
        "started": False,
        "waiting": False,
        "ended": None,
    },
    E.WORKFLOW_WAITING: {"waiting": True},
    E.WORKFLOW_RESUMED: _GOES_ON,
    E.RETRY_REQUESTED: _GOES_BACK,
    E.JUMP_REQUESTED: _GOES_BACK,
    E.STEP_STARTED: {"started": True, "module": None},
    E.STEP_COMPLETED: {"started": True, "step": None, "module": None},
    E.MODULE_STARTED: {"started": True},
    E.MODULE_COMPLETED: {"started": True, "module": None},
    E.MODULE_SKIPPED: {"started": True, "module": None},
    E.MODULE_ERROR: {"started": True},
    E.INTERACTION_REQUESTED: {"started": True},
    E.INTERACTION_RESPONSE: {"started": True, "interaction_id": None},
    E.INTERACTION_EXPIRED: {"started": True, "interaction_id": None},
    E.TIMER_FIRED: {"started": True},
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
    E.MODULE_SKIPPED: ("step", "module"),
    E.MODULE_ERROR: ("step", "module"),
    E.INTERACTION_REQUESTED: ("interaction_id",),
    E.INTERACTION_RESPONSE: ("interaction_id",),
    E.INTERACTION_EXPIRED: ("interaction_id",),
    E.RETRY_REQUESTED: ("module",),
}
_NEEDED_DATA: Mapping[E, tuple[str, ...]] = {
    E.SUB_ACTION_FAILED: ("sub_action_id",),
    E.TIMER_FIRED: ("timer_id",),
    E.SIGNAL_RECEIVED: ("name", "signal_id"),
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
        for name in _NEEDED_DATA.get(event.type, ()):
            if not _text(event, name):
                raise InvalidDataError(f"{event.type} event", f"its data needs a {name}; give one")
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
