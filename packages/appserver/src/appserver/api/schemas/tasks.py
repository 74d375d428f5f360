"""Schemas of tasks; they hold no lease and no digest."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from appdb import Progress, Task, TaskState
from appdb.models import TaskError
from appserver.tasks.shown_errors import shown_error
from appserver.tasks.worker_presence import WorkerPresence


class TaskRequest(BaseModel):
    """A task to enqueue."""

    model_config = ConfigDict(extra="forbid")

    actor: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$", description="See /api/actors.")
    # ``Any``, not ``JsonValue``: pydantic's names of union members would stand in the path of an error. JSON holds
    # nothing else, and its depth and size are checked before it is stored.
    payload: dict[str, Any] = Field(description="The actor's input; it must fit the actor's schema.")
    priority: int = Field(0, ge=-100, le=100, description="Higher runs first.")


class ReplayRequest(BaseModel):
    """A final task to repeat as a new one."""

    model_config = ConfigDict(extra="forbid")

    payload: dict[str, Any] | None = Field(None, description="Another input for the actor; null for the same.")


class TaskQuery(BaseModel):
    """The page of tasks to list."""

    model_config = ConfigDict(extra="forbid")

    state: list[TaskState] = Field(default_factory=list)
    before: str | None = Field(None, max_length=100)
    limit: int = Field(50, ge=1, le=200)


class Unattended(BaseModel):
    """A task is unattended while no worker that can do it gives signs of life; ``since`` is the last, if known."""

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
    def of(cls, task: Task, presence: WorkerPresence) -> Self:
        """Return the view of *task*; of its error, what its owner may read."""
        view = cls.model_validate(task, from_attributes=True)
        if task.error is not None:
            view.error = shown_error(task.error, task.id)
        if unattended := presence.unattended_for(task):
            view.unattended = Unattended(since=unattended.since)
        return view


class TaskView(TaskSummary):
    """A task, as its owner sees it."""

    payload: dict[str, Any]
    result: dict[str, Any] | None


class TaskChildren(BaseModel):
    """The children of a task: what it has spawned, oldest first."""

    items: list[TaskSummary]


class TaskPage(BaseModel):
    """Tasks, newest first; ``next`` is the ``before`` of the next page, or null at the end."""

    items: list[TaskSummary]
    next: str | None
