"""Reserved names in the data of events: waits, messages taken, sub-actions kept. Checked when new, read leniently."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard

from appdb.errors import InvalidDataError
from appdb.events import DbEventType as E
from appdb.models.events import EventSummary, NewRunEvent
from appdb.models.ongoing import Wait, WaitKind
from appdb.models.run_state import TAKES, WAITING_ON
from appdb.models.vocabulary import word

KEEP = "keep_sub_actions"
"""Where a retry lists the sub-actions that it keeps."""


def check_reserved(event: NewRunEvent) -> None:
    """Check what *event* says under reserved names.

    Raises:
        InvalidDataError: It is not what the fold reads.
    """
    for name in (TAKES, KEEP) if event.type is E.RETRY_REQUESTED else (TAKES,):
        if not _is_list_of_ids(event.data.get(name, [])):
            raise InvalidDataError(f"{event.type} event", f"{name} must be a list of ids")
    waits = event.data.get(WAITING_ON, [])
    if not isinstance(waits, list) or not all(_is_wait(entry, event.data) for entry in waits):
        raise InvalidDataError(
            f"{event.type} event",
            f"{WAITING_ON} must be a list of {{kind, id, label?, until?}}: a kind of {', '.join(WaitKind)}, texts, and "
            "a time of ISO 8601 with an offset",
        )


def waits_of(kept: EventSummary, step: str | None, module: str | None) -> dict[tuple[str, str], Wait]:
    """Return by kind and id the waits that an event begins for a step and module.

    A request is one even where it does not say so. Of two with one kind and id the last one counts.
    """
    entries = kept.data.get(WAITING_ON, [])
    found = [entry for entry in entries if _is_readable(entry, kept.data)] if isinstance(entries, list) else []
    asked = kept.data.get("interaction_id") if kept.type is E.INTERACTION_REQUESTED else None
    if asked is not None and (WaitKind.INTERACTION, asked) not in [
        (entry["kind"], _id_of(entry, kept.data)) for entry in found
    ]:
        found.append({"kind": WaitKind.INTERACTION.value})
    sub_action = kept.data.get("sub_action_id")
    return {
        (entry["kind"], _id_of(entry, kept.data)): Wait(
            kind=word(WaitKind, entry["kind"]),
            id=_id_of(entry, kept.data),
            label=_text(entry.get("label")),
            since=kept.created_at,
            until=_time(entry.get("until")),
            step=step,
            module=module,
            sub_action_id=_text(sub_action),
            event_id=kept.event_id,
            seq=kept.seq,
        )
        for entry in found
    }


def signal_id_of(kept: EventSummary) -> str:
    """Return the id of the message that an event received; logs of other hands may lack it."""
    return str(kept.data.get("signal_id"))


def ids_in(data: Mapping[str, Any], name: str) -> list[str]:
    """Return the ids that *data* lists under *name*; none where it lists something else."""
    found = data.get(name)
    return list(found) if _is_list_of_ids(found) else []


def _is_list_of_ids(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_wait(entry: object, data: Mapping[str, Any]) -> bool:
    if not isinstance(entry, dict) or not _is_readable(entry, data) or entry["kind"] not in set(WaitKind):
        return False
    until = entry.get("until")
    return entry.get("label", "") == _text(entry.get("label", "")) and (until is None or _time(until) is not None)


def _is_readable(entry: object, data: Mapping[str, Any]) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("kind"), str) and _id_of(entry, data) != ""


def _id_of(entry: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return the id of a wait: for that of an interaction, the event's own where the wait names none."""
    given = entry.get("id")
    if given is None and entry["kind"] == WaitKind.INTERACTION:
        given = data.get("interaction_id")
    return _text(given) or ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: object) -> datetime | None:
    """Return the moment that *value* says; ``None`` where it says none, or not in which zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
