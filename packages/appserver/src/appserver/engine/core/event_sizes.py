"""The sizes of events: what the log would refuse is told as an error of the run, and not of its host."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue
from pydantic_core import to_json

from appdb import DbEventType, InvalidDataError, check_events
from appdb.models import NewRunEvent, RunState

_ANY_STATE = RunState()


def problem_of(data: Mapping[str, JsonValue], most_bytes: int) -> str | None:
    """Return why *data* cannot be that of an event; ``None`` when it can.

    Args:
        data: What the event would say.
        most_bytes: The most that it may take as JSON. As it is stored, many small values take several times as much.
    """
    size = len(to_json(data))
    if size > most_bytes:
        return f"{size:,} bytes, and {most_bytes:,} are allowed"
    try:
        check_events([NewRunEvent(type=DbEventType.OUTPUT_STORED, data=dict(data))], _ANY_STATE)
    except InvalidDataError as exc:
        return f"more than an event can hold: {exc}"
    return None
