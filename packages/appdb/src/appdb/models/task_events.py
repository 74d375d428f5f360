"""Task events: the entries of a task's log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import JsonValue, SkipValidation

from appdb.events import TaskEventType
from appdb.models.base import Document, StoredJson, Value
from appdb.models.bounds import STRICT, StoredTime
from appdb.models.vocabulary import Stored


class TaskEvent(Document):
    """One entry of a task's log, as stored in ``task_events``; per task, ``seq`` is unique and dense from 0."""

    task_id: str
    seq: int
    type: Stored[TaskEventType]
    attempt: int
    at: StoredTime
    data: StoredJson


class LoggedEvent(Value):
    """An event within a batch; its batch gives its number, time and attempt."""

    type: Stored[TaskEventType]
    data: StoredJson


class EventBatch(Value):
    """Events that one write appended to a task's log, as the task holds them until they are archived."""

    first: int
    """The number of the first event; the others follow without a gap."""
    at: StoredTime
    attempt: int
    events: list[LoggedEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to append; its number and time are given by the log."""

    __pydantic_config__ = STRICT
    type: TaskEventType
    data: Annotated[dict[str, JsonValue], SkipValidation] = field(default_factory=dict)
