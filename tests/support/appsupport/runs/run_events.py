"""Events of a run, made by one word each."""

from __future__ import annotations

from typing import Any

from appdb import DbEventType
from appdb.models import NewRunEvent

E = DbEventType


def event(kind: DbEventType, step: str | None = None, module: str | None = None, **data: Any) -> NewRunEvent:
    return NewRunEvent(type=kind, step=step, module=module, data=data)


def step_started(step: str) -> NewRunEvent:
    return event(E.STEP_STARTED, step)


def step_completed(step: str) -> NewRunEvent:
    return event(E.STEP_COMPLETED, step)


def started(step: str, module: str) -> NewRunEvent:
    return event(E.MODULE_STARTED, step, module)


def completed(step: str, module: str, mapped: dict[str, Any] | None = None, **outputs: Any) -> NewRunEvent:
    named = {} if mapped is None else {"_state_mapped": mapped}
    return event(E.MODULE_COMPLETED, step, module, **outputs, **named)


def asked(step: str, module: str, interaction_id: str, **data: Any) -> NewRunEvent:
    return event(E.INTERACTION_REQUESTED, step, module, interaction_id=interaction_id, **data)


def answered(interaction_id: str, **data: Any) -> NewRunEvent:
    return event(E.INTERACTION_RESPONSE, interaction_id=interaction_id, **data)


def two_steps() -> list[NewRunEvent]:
    """A completed step of two modules with a question, and a second one that has begun."""
    return [
        step_started("write"),
        started("write", "draft"),
        completed("write", "draft", {"text": "one"}, response="one"),
        started("write", "choose"),
        asked("write", "choose", "select_1", title="Which?"),
        answered("select_1", value=1),
        completed("write", "choose", value=1),
        step_completed("write"),
        step_started("paint"),
        started("paint", "picture"),
    ]
