"""The sub-actions of a module's try: its work outside of the log, by the keys that the module gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import JsonValue

from appdb import DbEventType as E
from appdb.models import EventSummary, RunState, SubAction
from appserver.engine.core.draft import Draft
from appserver.engine.core.place import Place
from appserver.modules.contract import ErrorCode, Work

REFUSED = "refused"
"""In the start of a sub-action that cannot be done, why; its end follows from that."""
KEPT = "kept"
"""In a start's data, the ids of sub-actions of the try before that count in this one."""


def name_of(place: Place, key: str) -> str:
    """Return the id of a sub-action; unique on the run's line of history."""
    return f"{place.module.id}/{key}"


def current(state: RunState, place: Place, start: EventSummary) -> Iterator[SubAction]:
    """Yield the sub-actions of a module since its start, and those that its start keeps."""
    kept = frozenset(start.data.get(KEPT, ()))
    for sub in state.sub_actions.values():
        if (sub.step, sub.module) == place.key and (sub.started.seq > start.seq or sub.id in kept):
            yield sub


def open_ones(state: RunState, place: Place, start: EventSummary) -> list[SubAction]:
    """Return the sub-actions that have not ended."""
    return [sub for sub in current(state, place, start) if sub.ended is None]


def work_of(state: RunState, place: Place, start: EventSummary) -> Mapping[str, Work]:
    """Return, by key, how each sub-action stands."""
    return {str(sub.started.data["key"]): _work(sub) for sub in current(state, place, start)}


def _work(sub: SubAction) -> Work:
    data: Mapping[str, Any] = {} if sub.ended is None else sub.ended.data
    error = data.get("error")
    return Work(
        kind=sub.started.data["kind"],
        state=_state(sub, error),
        id=str(sub.started.data["id"]),
        result=data.get("result"),
        error=error,
    )


def _state(sub: SubAction, error: object) -> Literal["open", "completed", "failed", "cancelled"]:
    if sub.ended is None:
        return "open"
    if not sub.failed:
        return "completed"
    cancelled = isinstance(error, Mapping) and error.get("code") == ErrorCode.CANCELLED
    return "cancelled" if cancelled else "failed"


def complete(draft: Draft, place: Place, name: str, result: JsonValue, takes: Iterable[str] = ()) -> None:
    """Add the end of a sub-action with its result; *takes* are the messages that it takes from the inbox."""
    data: dict[str, JsonValue] = {"sub_action_id": name, "result": result}
    if taken := list(takes):
        data["_takes"] = [*taken]
    draft.add(E.SUB_ACTION_COMPLETED, *place.key, data)


def fail(draft: Draft, place: Place, name: str, error: Mapping[str, JsonValue]) -> None:
    """Add the end of a sub-action with its error."""
    draft.add(E.SUB_ACTION_FAILED, *place.key, {"sub_action_id": name, "error": dict(error)})


def stop(draft: Draft, subs: Iterable[SubAction]) -> None:
    """Cancel what open sub-actions do outside, unless it has ended; their end in the log is up to the caller."""
    for sub in subs:
        if sub.started.data["id"] in draft.ends:
            continue
        match sub.started.data["kind"]:
            case "child":
                draft.cancel_child(str(sub.started.data["id"]))
            case "task" | "timer":
                draft.cancel_tasks([str(sub.started.data["id"])])
