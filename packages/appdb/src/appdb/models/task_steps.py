"""Task steps: values that finished steps of an attempt gave, for the attempts after it."""

from __future__ import annotations

from pydantic import JsonValue

from appdb.models.base import Document


class TaskStep(Document):
    """A finished step of a task, as stored in ``task_steps``; task and key make its ``_id``."""

    task_id: str
    key: str
    value: JsonValue
