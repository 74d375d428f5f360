"""Schemas of the streams of runs: what they carry beside the events of the run's log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from appdb.models import OpenQuestion, RunStatus
from appserver.api.schemas.runs import ShownRun
from appserver.api.schemas.streams import EventView
from appserver.streams.live_tasks import LiveTask


class LiveTaskView(BaseModel):
    """An open task of a run with what its current attempt has streamed up to its event ``seq``.

    ``chunks`` is null when that is too much: the task's own stream has it.
    """

    task_id: str
    module: str | None
    attempt: int
    seq: int
    chunks: list[Any] | None
    progress: Mapping[str, Any] | None

    @classmethod
    def of(cls, task: LiveTask) -> Self:
        """Return the view of *task*."""
        return cls(
            task_id=task.task_id,
            module=task.module,
            attempt=task.attempt,
            seq=task.seq,
            chunks=None if task.left_out else task.chunks,
            progress=task.progress,
        )

    def without_chunks(self) -> Self:
        """Return it without what was streamed."""
        return self.model_copy(update={"chunks": None})


class AskedByPart(BaseModel):
    """A question of a run that is a part of this one, at any depth; what it says is told with this run."""

    run_id: str
    interaction_id: str
    asked_at: datetime

    @classmethod
    def of(cls, question: OpenQuestion) -> Self:
        """Return the view of *question*."""
        return cls(run_id=question.run.id, interaction_id=question.interaction_id, asked_at=question.since)


class RunSnapshot(ShownRun):
    """A run and what its open tasks have streamed so far; the events after ``last_seq`` follow.

    The first event of a stream without a position; and behind a ``branch`` and its event, the run as it was there.

    ``left_out`` names what is empty because the snapshot would be too large for clients: ask for the run's state.
    """

    tasks: list[LiveTaskView]
    asked_by_parts: list[AskedByPart]
    left_out: list[str] = Field(default_factory=list)


class TasksNote(BaseModel):
    """The output of open tasks so far, for a client that has just read all events up to ``last_seq``."""

    last_seq: int
    tasks: list[LiveTaskView]
    asked_by_parts: list[AskedByPart]


class PartsNote(BaseModel):
    """A note that what the parts of the run ask has changed: their open questions, the oldest first, at most 20."""

    asked_by_parts: list[AskedByPart]


class RunTaskEventView(EventView):
    """An event of the log of one of the run's tasks; its name on the stream begins with ``task_``."""

    module: str | None


class RollbackNote(BaseModel):
    """A note that the output of earlier attempts of a task counts no more."""

    task_id: str
    attempt: int
    module: str | None


class BranchNote(BaseModel):
    """The run goes on on another branch: events of the old line behind ``cutoff_seq`` count no more.

    The event that begins the branch follows, then a ``snapshot``.
    """

    left: str = Field(serialization_alias="from")
    to: str
    cutoff_seq: int | None


class EndNote(BaseModel):
    """The run has ended; ``actions`` can still be done with it, and a stream that is opened then goes on."""

    run_id: str
    last_seq: int
    status: RunStatus
    resumable: bool
    actions: list[str]
