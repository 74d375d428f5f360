"""Sub-actions in the log: a module's work outside of it is ended there, and stopped outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from appdb import DbEventType as E
from appdb.models import SubAction
from appserver.engine.core.draft import Draft
from appserver.engine.core.place import Place

REFUSED = "refused"
"""In the start of a sub-action that cannot be done, why; its end follows from that."""


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
