"""Task events: the entries of a task's log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import JsonValue, SkipValidation

from appdb.events import TaskEventType
from appdb.models.base import Document, StoredJson
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to append; its number and time are given by the log."""

    __pydantic_config__ = STRICT
    type: TaskEventType
    data: Annotated[dict[str, JsonValue], SkipValidation] = field(default_factory=dict)
