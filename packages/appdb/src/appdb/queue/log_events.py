"""Events of a task's log before they are written and when they are read: checked, weighed and in stored form; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from appdb._driver import RawDocument, encoded_size
from appdb.errors import InvalidDataError
from appdb.events import TaskEventType
from appdb.models.bounds import accept
from appdb.models.task_events import NewEvent
from appdb.models.tasks import Progress
from appdb.size_limits import MAX_EVENT_BYTES, MAX_RECENT_BYTES, MAX_RECENT_EVENTS, PAGE_BYTES, check_size


def check_events(events: Sequence[NewEvent]) -> int:
    """Check that every event fits, before anything is written, and return what they weigh together, in bytes.

    Raises:
        TooLargeError: An event is over 64 KiB.
        InvalidDataError: An event holds a value that cannot be stored, or a progress that a task cannot show.
    """
    size = 0
    for event in events:
        accept(NewEvent, event)
        size += check_size(f"{event.type} event", event.data, MAX_EVENT_BYTES)
        if event.type is TaskEventType.PROGRESS:
            _check_progress(event.data)
    return size


def _check_progress(data: Mapping[str, Any]) -> None:
    # It becomes a part of the task, which no model could read any more.
    try:
        Progress.model_validate(data)
    except ValidationError as exc:
        raise InvalidDataError("progress event", "give a fraction from 0 to 1, and a message as text") from exc


def stored_events(events: Sequence[NewEvent]) -> list[RawDocument]:
    """Return *events* as they are appended; the server numbers and times them."""
    return [{"type": event.type.value, "data": dict(event.data)} for event in events]


def latest_progress(events: Sequence[NewEvent]) -> Mapping[str, Any] | None:
    """Return the data of the last progress among *events*: what the task itself shows."""
    return next((event.data for event in reversed(events) if event.type is TaskEventType.PROGRESS), None)


def fills_recent_events(first: int, count: int) -> bool:
    """Return whether *count* events from the number *first* on pass a multiple of what a task carries itself.

    It is counted over all attempts and holders: each may add little to what the task carries, and yet there may be
    many of them. Whoever passes such a number archives the log.
    """
    # Numbers tell it without a look at the task, which another holder may have filled.
    last = first + count - 1
    return count > 0 and max(first - 1, 0) // MAX_RECENT_EVENTS < last // MAX_RECENT_EVENTS


def is_heavy(events: int, size: int) -> bool:
    """Return whether so many *events*, of *size* bytes, are more than a task should carry itself."""
    return events > MAX_RECENT_EVENTS or size > MAX_RECENT_BYTES


def length_of_page(weights: Iterable[int]) -> int:
    """Return how many events of these *weights* are read at once: all up to the one that fills a page's bytes."""
    total = length = 0
    for weight in weights:
        length += 1
        total += weight
        if total >= PAGE_BYTES:
            break
    return length


def weight_of(data: object) -> int:
    """Return what an event's *data* counts for on a page, in bytes; nothing where other software wrote no object."""
    return encoded_size("event", data) if isinstance(data, Mapping) else 0
