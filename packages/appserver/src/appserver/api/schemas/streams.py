"""Schemas of streams: the JSON of their events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from appdb import TaskEvent, TaskEventType
from appserver.api.schemas.contents import ContentView
from appserver.api.schemas.tasks import TaskView
from appserver.http.media import file_url, latest_file_url
from appserver.tasks.shown_errors import shown_data


class TaskSnapshot(TaskView):
    """A task and what it has made so far; the events after ``last_seq`` follow.

    ``left_out`` names the fields that are null because the snapshot would be too large for clients: ask for the task
    and its contents by themselves.
    """

    # Null when left out, while a task by itself always has one.
    payload: dict[str, Any] | None  # type: ignore[assignment]  # wider than a task's own
    contents: list[ContentView] | None
    left_out: list[str] = Field(default_factory=list)


class EventView(BaseModel):
    """An event of a task's log, as a stream carries it."""

    task_id: str
    seq: int
    type: str
    attempt: int
    at: datetime
    data: dict[str, Any]

    @classmethod
    def of(cls, event: TaskEvent) -> EventView:
        """Return the view of *event*; one that tells of content says where the bytes are, if it names the content.

        Of an error, it tells what the task's owner may read.
        """
        view = cls.model_validate(event, from_attributes=True)
        view.data = shown_data(view.data, event.task_id)
        if event.type is TaskEventType.CONTENT and (url := _url_of(event)) is not None:
            view.data = view.data | {"url": url}
        return view


def _url_of(event: TaskEvent) -> str | None:
    content_id, sha256 = event.data.get("content_id"), event.data.get("sha256")
    # An event that other software wrote must not end the streams of those behind it: it goes on without an address.
    if not isinstance(content_id, str):
        return None
    # Workers of an older release tell no digest.
    return file_url(content_id, sha256) if isinstance(sha256, str) else latest_file_url(content_id)
