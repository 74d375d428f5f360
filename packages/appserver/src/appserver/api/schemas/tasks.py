"""What the API answers: never a lease, a digest or the place of bytes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from appdb import Task, TaskEventType, TaskState
from appdb.models.actors import Actor
from appdb.models.generated_content import Content, ContentKind
from appdb.models.task_events import TaskEvent
from appdb.models.tasks import Progress, TaskError
from appserver.tasks.attendance import Attendance
from appserver.tasks.failures import shown_data, shown_error


class Unattended(BaseModel):
    """Nobody works on a task: no worker that can do it gives signs of life; ``since`` is the last, if it is known."""

    since: datetime | None


class TaskSummary(BaseModel):
    """A task in a list: all but its input and its result, which may be large.

    ``last_seq`` is the newest event that this snapshot includes, -1 for none. ``unattended`` is null while a worker
    that can do the task gives signs of life, and once it has ended.
    """

    id: str
    actor: str
    state: TaskState
    priority: int
    attempt: int
    max_attempts: int
    progress: Progress | None
    error: TaskError | None
    unattended: Unattended | None = None
    last_seq: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, task: Task, present: Attendance) -> Self:
        """Return the view of *task*; of its error, what its owner may read."""
        view = cls.model_validate(task, from_attributes=True)
        if task.error is not None:
            view.error = shown_error(task.error, task.id)
        if not task.state.final and (absence := present.absence(task.actor, task.actor_version, task.queue)):
            view.unattended = Unattended(since=absence.since)
        return view


class TaskView(TaskSummary):
    """A task, as its owner sees it."""

    payload: dict[str, Any]
    result: dict[str, Any] | None


class TaskPage(BaseModel):
    """Tasks, newest first; ``next`` is the ``before`` of the next page, or null at the end."""

    items: list[TaskSummary]
    next: str | None


def file_url(content_id: str, sha256: str) -> str:
    """Return where the bytes with this digest are.

    A re-run stores other bytes under the same id. An address for each version keeps a player from going on with the
    new bytes where the old ones ended.
    """
    return f"/api/contents/{content_id}/file/{sha256}"


class ContentView(BaseModel):
    """A content item, as its owner sees it; its bytes are at ``url``, which names these bytes and no others."""

    id: str
    task_id: str
    kind: ContentKind
    role: str
    media_type: str
    filename: str
    size: int
    sha256: str
    index: int | None
    seed: int | None
    width: int | None
    height: int | None
    duration_seconds: float | None
    caption: str | None
    created_at: datetime
    url: str

    @classmethod
    def of(cls, content: Content) -> ContentView:
        """Return the view of *content*."""
        return cls.model_validate(content.model_dump() | {"url": file_url(content.id, content.sha256)})


class Snapshot(TaskView):
    """A task and what it has made so far; the events after ``last_seq`` follow.

    ``left_out`` names the fields that are null because the snapshot would be too large for clients: ask for the task
    and its contents by themselves.
    """

    payload: dict[str, Any] | None  # type: ignore[assignment]  # wider than a task's own
    contents: list[ContentView] | None
    left_out: list[str] = Field(default_factory=list)


class ContentPage(BaseModel):
    """Content items; ``next`` is the ``before`` of the next page, or null at the end."""

    items: list[ContentView]
    next: str | None


class ActorView(BaseModel):
    """An actor that tasks can name; ``payload_schema`` is JSON Schema, draft 2020-12."""

    name: str
    version: int
    description: str
    payload_schema: dict[str, Any]

    @classmethod
    def of(cls, actor: Actor) -> ActorView:
        """Return the view of *actor*."""
        return cls(
            name=actor.id,
            version=actor.version,
            description=actor.description,
            payload_schema=actor.payload_schema,
        )


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
        """Return the view of *event*; one that tells of content says where the bytes are.

        Of an error, it tells what the task's owner may read.
        """
        view = cls.model_validate(event, from_attributes=True)
        view.data = shown_data(view.data, event.task_id)
        if event.type is TaskEventType.CONTENT:
            view.data = view.data | {"url": _url_of(event)}
        return view


def _url_of(event: TaskEvent) -> str:
    content_id, sha256 = event.data["content_id"], event.data.get("sha256")
    # Workers of an older release tell no digest.
    return f"/api/contents/{content_id}/file" if sha256 is None else file_url(content_id, sha256)
