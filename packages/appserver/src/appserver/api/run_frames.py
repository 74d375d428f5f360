"""Run frames: the events of runs, with those of their tasks, as streams of the JSON API carry them."""

from __future__ import annotations

from collections.abc import Sequence

from appdb import DbEventType, TaskEvent
from appdb.models import OpenQuestion, Run, RunEvent, RunView
from appserver.api.event_frames import MAX_SNAPSHOT_BYTES
from appserver.api.schemas.run_events import RunEventView
from appserver.api.schemas.run_streams import (
    AskedByPart,
    BranchNote,
    EndNote,
    LiveTaskView,
    PartsNote,
    RollbackNote,
    RunSnapshot,
    RunTaskEventView,
    TasksNote,
)
from appserver.api.schemas.runs import ShownRun
from appserver.api.schemas.streams import EventView
from appserver.engine.ways_on import ways_on
from appserver.http.sse import sse_block
from appserver.streams.branch_starts import BranchStart
from appserver.streams.live_tasks import LiveTask
from appserver.streams.run_frames import LivePicture, RunFrame

E = DbEventType
ENDINGS = frozenset(
    {
        E.WORKFLOW_COMPLETED,
        E.WORKFLOW_ERROR,
        E.WORKFLOW_CANCELLED,
        E.WORKFLOW_TARGET_REACHED,
        E.WORKFLOW_VALIDATION_FAILED,
    }
)
"""Events with which a run ends, until it goes on."""
TASK_PREFIX = "task_"
"""What the names of events of tasks begin with, so that none is taken for one of the run."""


class RunFrames:
    """The JSON of a run's stream; see ``RunEncoder``."""

    def event(self, event: RunEvent, begins: BranchStart | None) -> RunFrame:
        """Return an event of the run's log; its data is left out where it would be too large for clients."""
        view = RunEventView.of(event)
        data = view.model_dump_json()
        if len(data) > MAX_SNAPSHOT_BYTES:
            data = view.model_copy(update={"data": None}).model_dump_json()
        return RunFrame(
            seq=event.seq,
            name=event.type.value,
            module=event.module,
            ends=event.type in ENDINGS,
            note=b"" if begins is None else _branch(begins),
            text=sse_block(event.seq, event.type.value, data),
        )

    def task_event(self, event: TaskEvent, task: LiveTask) -> RunFrame:
        """Return an event of a task's log, without an id: the run's own events are what a client counts."""
        name = f"{TASK_PREFIX}{event.type.value}"
        view = RunTaskEventView(**EventView.of(event).model_dump(), module=task.module)
        return RunFrame(seq=None, name=name, module=task.module, text=sse_block(None, name, view.model_dump_json()))

    def rollback(self, task: LiveTask) -> RunFrame:
        """Return the note that what earlier attempts of a task have streamed counts no more."""
        note = RollbackNote(task_id=task.task_id, attempt=task.attempt, module=task.module)
        text = sse_block(None, "rollback", note.model_dump_json())
        return RunFrame(seq=None, name="rollback", module=task.module, always=True, text=text)

    def snapshot(self, view: RunView, ending: RunEvent | None, live: LivePicture) -> RunFrame:
        """Return the run with what its live tasks have streamed so far, and what its parts ask."""
        seq = view.run.event_count - 1
        tasks = [LiveTaskView.of(task) for task in live.tasks]
        shown = ShownRun.of(view, ending).model_dump()
        snapshot = RunSnapshot(**shown, tasks=tasks, asked_by_parts=_asked(live.asked))
        data = snapshot.model_dump_json(by_alias=True)
        if len(data.encode()) > MAX_SNAPSHOT_BYTES:
            smaller: dict[str, object] = {
                "tasks": [task.without_chunks() for task in tasks],
                "values": {},
                "output": None,
                "left_out": ["values", "output"],
            }
            data = snapshot.model_copy(update=smaller).model_dump_json(by_alias=True)
        return RunFrame(seq=seq, name="snapshot", always=True, text=sse_block(seq, "snapshot", data))

    def tasks(self, seq: int, live: LivePicture) -> RunFrame:
        """Return what is *live* beside the log, for a viewer that knows the run up to event *seq*."""
        tasks = [LiveTaskView.of(task) for task in live.tasks]
        note = TasksNote(last_seq=seq, tasks=tasks, asked_by_parts=_asked(live.asked))
        data = note.model_dump_json()
        if len(data.encode()) > MAX_SNAPSHOT_BYTES:
            data = note.model_copy(update={"tasks": [task.without_chunks() for task in tasks]}).model_dump_json()
        return RunFrame(seq=seq, name="tasks", always=True, text=sse_block(seq, "tasks", data))

    def parts(self, asked: Sequence[OpenQuestion]) -> RunFrame:
        """Return what the runs below it ask now; the run's own events are what a client counts."""
        note = PartsNote(asked_by_parts=_asked(asked))
        return RunFrame(seq=None, name="parts", always=True, text=sse_block(None, "parts", note.model_dump_json()))

    def end(self, run: Run) -> RunFrame:
        """Return the end of the stream, with what can still be done with the run."""
        seq = run.event_count - 1
        actions = list(ways_on(run.status))
        note = EndNote(run_id=run.id, last_seq=seq, status=run.status, resumable=bool(actions), actions=actions)
        return RunFrame(seq=seq, name="end", always=True, text=sse_block(seq, "end", note.model_dump_json()))


def _branch(start: BranchStart) -> bytes:
    note = BranchNote(left=start.left, to=start.to, cutoff_seq=start.cutoff_seq)
    return sse_block(None, "branch", note.model_dump_json(by_alias=True))


def _asked(questions: Sequence[OpenQuestion]) -> list[AskedByPart]:
    return [AskedByPart.of(question) for question in questions]
