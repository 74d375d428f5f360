"""Preconditions: what a run's position must be for events to be appended to its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from appdb.errors import InvalidDataError
from appdb.events import DbEventType as E
from appdb.models.workflow_runs import OPEN_STATUSES, Position, RunStatus
from appdb.runs.transitions import BRANCH_OPENERS, ENDINGS, RESUMABLE, WORK, EventSubject, position_changes

ENDED = frozenset(ENDINGS.values())


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
    # A failed run stays open, so its owner can also give it up.
    E.WORKFLOW_CANCELLED: frozenset({None, *OPEN_STATUSES & ENDED}),
    E.SIGNAL_RECEIVED: frozenset({None, *OPEN_STATUSES & ENDED}),
}


def preconditions(events: Iterable[EventSubject]) -> Preconditions:
    """Return the conditions that a run must meet for *events* to be appended in this order.

    Raises:
        InvalidDataError: No run could accept these events: one begins a branch, follows an ending, answers an
            interaction that an earlier one settled, asks while an earlier one asks, repeats a module of no step, or
            waits for other runs.
    """
    # What an earlier event of the list sets is known here; only the rest is asked of the stored run.
    needed = Preconditions()
    known: dict[str, Any] = {}
    for subject in events:
        if subject.type in BRANCH_OPENERS:
            raise InvalidDataError(
                f"{subject.type} event", "it begins a branch; reset, jump or recover the run instead"
            )
        if subject.type is E.WORKFLOW_WAITING:
            raise InvalidDataError(f"{subject.type} event", "only a new run waits for others; open it with on_begin")
        allowed = _ALLOWED.get(subject.type)
        if allowed is not None:
            needed = replace(needed, ended=_with_end(subject, allowed, known, needed.ended))
        match subject.type:
            case E.INTERACTION_RESPONSE | E.INTERACTION_EXPIRED:
                needed = replace(needed, interaction_id=_with_answer(subject, known, needed.interaction_id))
            # A run asks its user one thing at a time: nothing replaces a pending question.
            case E.INTERACTION_REQUESTED:
                needed = replace(needed, free=_with_request(subject, known, free=needed.free))
            case E.RETRY_REQUESTED if subject.step is None:
                needed = replace(needed, in_step=_with_retry(subject, known, in_step=needed.in_step))
        known |= position_changes(subject)
    return needed


def unmet(needed: Preconditions, position: Position) -> str | None:
    """Return in words which condition of *needed* a run at *position* does not meet; ``None`` when it meets all."""
    if needed.ended is not None and position.ended not in needed.ended:
        return f"it is {position.ended}; resume it, or go back in it, first"
    if needed.in_step and position.step is None:
        return "no step of it is open; name the step of the module that is to run again"
    if needed.interaction_id is not None and position.interaction_id != needed.interaction_id:
        return f"interaction {needed.interaction_id!r} is not pending; read its state again"
    if needed.free and needed.interaction_id is None and position.interaction_id is not None:
        return f"interaction {position.interaction_id!r} is pending; it must be answered before another is requested"
    return None


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
