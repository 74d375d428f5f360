"""The sizes of events: what the log would refuse is told as an error of the run, and not of its host."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue
from pydantic_core import to_json

from appdb import DbEventType, InvalidDataError, TooLargeError, check_events
from appdb.models import NewRunEvent, RunState

MAX_OUTPUTS_BYTES = 128 * 1024
"""Of a module's outputs, and so of an answer or a message that becomes one."""
MAX_BESIDE_BYTES = 4 * 1024
"""Of what an event says beside that which is weighed: names, ids, waits."""
MAX_LABEL = 200
"""Characters of a label that an event repeats for those who wait; a module of another package may give any."""
_BESIDE = "_beside"
_ANY_STATE = RunState()


def problem_of(data: Mapping[str, JsonValue], most_bytes: int, *, beside: int = MAX_BESIDE_BYTES) -> str | None:
    """Return why *data* cannot be that of an event; ``None`` when it can.

    Args:
        data: What the event would say.
        most_bytes: The most that it may take as JSON. As it is stored, many small values take several times as much.
        beside: Bytes that are left for what the event says beside it.
    """
    size = len(to_json(data))
    if size > most_bytes:
        return f"{size:,} bytes, and {most_bytes:,} are allowed"
    weighed = NewRunEvent(type=DbEventType.OUTPUT_STORED, data={**data, _BESIDE: "x" * beside})
    try:
        check_events([weighed], _ANY_STATE)
    except TooLargeError as exc:
        stored = f"{(exc.size or 0) - beside:,} bytes as it is stored, and {exc.limit - beside:,} are allowed"
        return f"more than an event can hold: {stored}; many small values take more than texts do"
    except InvalidDataError as exc:
        return f"more than an event can hold: {exc}"
    return None
