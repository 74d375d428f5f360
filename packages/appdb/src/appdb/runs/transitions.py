"""What an event does to the position of its run: one table, for the fold and for the caches beside the log."""

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
"""What only a run that has not ended can do."""
OF_BRANCHES = frozenset({E.WORKFLOW_CREATED, E.JUMP_REQUESTED, E.WORKFLOW_RECOVERED})
"""What begins a branch, and is never appended to one."""
TELLING = frozenset({E.JUMP_REQUESTED, E.WORKFLOW_RECOVERED, E.WORKFLOW_RESUMED})
"""What says why a branch begins: a branch that forks right behind it may as well fork before it."""
HALF_DONE = frozenset({E.STEP_STARTED, E.MODULE_STARTED, E.MODULE_ERROR, E.SUB_ACTION_STARTED, E.WORKFLOW_RECOVERED})
"""Behind these, something has begun that only its host knew how far it was."""
RESUMABLE = frozenset({RunStatus.TARGET_REACHED, RunStatus.VALIDATION_FAILED})
"""Stops at which the user is asked what to do, so that the run can still be ended otherwise."""

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
class Where:
    """What of an event decides the position: its type, and the names in it."""

    type: E
    step: str | None
    module: str | None
    interaction_id: str | None

    @classmethod
    def of(cls, event: NewRunEvent) -> Where:
        """Return where *event* happens; a retry happens where it leads to.

        Raises:
            InvalidDataError: A name that its type needs is missing, or is no text.
        """
        retry = event.type is E.RETRY_REQUESTED
        where = cls(
            type=event.type,
            step=event.step or (_text(event, "target_step") if retry else None),
            module=event.module or (_text(event, "target_module") if retry else None),
            interaction_id=_text(event, "interaction_id"),
        )
        for name in _NEEDED.get(event.type, ()):
            if not getattr(where, name):
                raise InvalidDataError(f"{event.type} event", f"it needs a {name}; give one")
        return where


def _text(event: NewRunEvent, name: str) -> str | None:
    value = event.data.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidDataError(f"{event.type} event", f"{name} must be text")
    return value


def marks(where: Where) -> dict[str, Any]:
    """Return the fields of ``Position`` that an event sets; all others stay as they are."""
    taken = {name: getattr(where, name) for name in _TAKEN.get(where.type, ())}
    return {**_FIXED.get(where.type, {}), **{name: value for name, value in taken.items() if value is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a run must be like for events to be appended.

    Args:
        ended: How it may have ended; ``None`` stands for not at all, and the whole for no demand.
        interaction_id: What must be pending; ``None`` for no demand.
        free: Whether nothing may be pending.
        in_step: Whether a step must be open.
    """

    ended: frozenset[RunStatus | None] | None = None
    interaction_id: str | None = None
    free: bool = False
    in_step: bool = False


_ALLOWED: Mapping[E, frozenset[RunStatus | None]] = {
    **dict.fromkeys(WORK, frozenset({None})),
    **dict.fromkeys(ENDINGS, frozenset({None, *RESUMABLE})),
}


def demands(events: Iterable[Where]) -> Demands:
    """Return what a run must be like for *events* to be appended, in order.

    Raises:
        InvalidDataError: No run is: an event begins a branch, or follows one that ends the run, or answers what an
            earlier one has settled, or asks while an earlier one asks, or repeats a module of no step.
    """
    demanded = Demands()
    known: dict[str, Any] = {}
    for where in events:
        if where.type in OF_BRANCHES:
            raise InvalidDataError(f"{where.type} event", "it begins a branch; reset, jump or recover the run instead")
        allowed = _ALLOWED.get(where.type)
        if allowed is not None:
            demanded = replace(demanded, ended=_with_end(where, allowed, known, demanded.ended))
        match where.type:
            case E.INTERACTION_RESPONSE:
                demanded = replace(demanded, interaction_id=_with_answer(where, known, demanded.interaction_id))
            case E.INTERACTION_REQUESTED:
                demanded = replace(demanded, free=_with_request(where, known, free=demanded.free))
            case E.RETRY_REQUESTED if where.step is None:
                demanded = replace(demanded, in_step=_with_retry(where, known, in_step=demanded.in_step))
        known |= marks(where)
    return demanded


def _with_end(
    where: Where,
    allowed: frozenset[RunStatus | None],
    known: Mapping[str, Any],
    demanded: frozenset[RunStatus | None] | None,
) -> frozenset[RunStatus | None] | None:
    if "ended" not in known:
        return allowed if demanded is None else demanded & allowed
    if known["ended"] not in allowed:
        raise InvalidDataError(f"{where.type} event", f"an event before it ends the run as {known['ended']}")
    return demanded


def _with_answer(where: Where, known: Mapping[str, Any], demanded: str | None) -> str | None:
    if "interaction_id" not in known:
        return where.interaction_id
    if known["interaction_id"] != where.interaction_id:
        raise InvalidDataError(f"{where.type} event", "an event before it settles or replaces the interaction")
    return demanded


def _with_request(where: Where, known: Mapping[str, Any], *, free: bool) -> bool:
    if "interaction_id" not in known:
        return True
    if known["interaction_id"] is not None:
        raise InvalidDataError(f"{where.type} event", "an event before it asks already; the user answers one at a time")
    return free


def _with_retry(where: Where, known: Mapping[str, Any], *, in_step: bool) -> bool:
    if "step" not in known:
        return True
    if known["step"] is None:
        raise InvalidDataError(f"{where.type} event", "an event before it completes the step; name the step")
    return in_step
