"""Runs in memory: the log, the branches and the tasks of a harness, with the rules of the real ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from appdb import DbEventType, NewTask, check_events, fold_events
from appdb.models import NewRun, NewRunEvent, Run, RunEvent, RunState, RunStatus, TaskFilter
from appserver.engine.core.as_stored import event_as_stored, first_event, run_as_stored
from appserver.engine.core.decision import Decision, Fork
from appserver.engine.core.picture import End

OWNER = "harness"
LABELS = ("run_id", "branch_id", "step", "module", "sub_action_id", "interaction_id", "actor", "queue", "task_id")
"""What a choice of tasks may name of each."""


@dataclass(slots=True, kw_only=True)
class MemoryTask:
    """A task of a harness.

    Args:
        new: What was enqueued.
        due: When it is due.
        end: How it ended.
        delivered: How often it was given to the engine; of the engine's own tasks.
    """

    new: NewTask
    due: datetime
    end: End | None = None
    delivered: int = 0

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.new.task_id)


@dataclass(slots=True, kw_only=True)
class MemoryRun:
    """A run of a harness: its whole log, and the line of history of each branch."""

    run: Run
    log: list[RunEvent] = field(default_factory=list)
    lines: dict[str, list[RunEvent]] = field(default_factory=dict)
    state: RunState = field(default_factory=RunState)
    """The state of the current branch."""
    writes: list[Any] = field(default_factory=list)

    @property
    def next_seq(self) -> int:
        """The number of the next event."""
        return len(self.log)


class MemoryRuns:
    """
    Runs and tasks, as far as a harness needs a database: commits are whole, and repeating one changes nothing.
    """

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}
        self.tasks: dict[str, MemoryTask] = {}
        self._live: dict[str, MemoryTask] = {}
        self.commits = 0

    def open_run(self, new: NewRun, now: datetime) -> MemoryRun:
        """Make a run with its first event, unless it is there already."""
        if new.run_id not in self.runs:
            run = run_as_stored(new, OWNER, now)
            made = self.runs[new.run_id] = MemoryRun(run=run, lines={new.branch_id: []})
            self._append(made, [first_event(new)], now)
        return self.runs[new.run_id]

    def commit(self, run_id: str, expected_seq: int, decision: Decision, now: datetime) -> None:
        """Write a decision, as one transaction would.

        Raises:
            AppDbError: The log does not allow its events; nothing is written.
        """
        found = self.runs[run_id]
        assert found.next_seq == expected_seq, "a harness has one writer"  # noqa: S101
        if decision.events:
            check_events(decision.events, found.state)
        self.commits += 1
        self._append(found, decision.events, now)
        for match in decision.cancels:
            self._cancel(match, now)
        for child_id in decision.cancel_children:
            self.cancel_run(child_id, now)
        for child in decision.children:
            self.open_run(child, now)
        for task in decision.tasks:
            self.enqueue(task, now)
        found.writes.extend(decision.writes)
        if decision.fork is not None:
            self._fork(found, decision.fork, now)

    def enqueue(self, task: NewTask, now: datetime) -> None:
        """Keep a task, unless one with its id is there."""
        task_id = str(task.task_id)
        if task_id not in self.tasks:
            due = task.run_at or now + task.delay
            self.tasks[task_id] = self._live[task_id] = MemoryTask(new=task, due=due)

    def end_task(self, task: MemoryTask, end: End, now: datetime) -> None:
        """End a task, and enqueue what follows its end."""
        if task.end is None:
            task.end = end
            del self._live[task.id]
            for number, follower in enumerate(task.new.on_end):
                self.enqueue(replace(follower, task_id=f"{task.id}/end{number}"), now)

    def cancel_run(self, run_id: str, now: datetime) -> None:
        """Cancel a run with its tasks and its children."""
        found = self.runs[run_id]
        if found.state.status in (RunStatus.COMPLETED, RunStatus.CANCELLED):
            return
        event = NewRunEvent(type=DbEventType.WORKFLOW_CANCELLED, event_id=f"evt_{run_id}_cancel")
        self._append(found, [event], now)
        self._cancel(TaskFilter(owner_id=OWNER, run_id=run_id), now)
        for child in [one for one in self.runs.values() if one.run.parent_id == run_id]:
            self.cancel_run(child.run.id, now)

    def live(self) -> Iterator[MemoryTask]:
        """Yield the tasks that have not ended, those that are due first in front."""
        yield from sorted(self._live.values(), key=lambda task: (task.due, task.id))

    def ends_for(self, state: RunState) -> dict[str, End]:
        """Return how what *state* waits for has ended, where it has."""
        ends: dict[str, End] = {}
        for wait in state.waiting_on:
            if (task := self.tasks.get(wait.id)) is not None and task.end is not None:
                ends[wait.id] = task.end
            elif (child := self.runs.get(wait.id)) is not None and (end := _end_of(child)) is not None:
                ends[wait.id] = end
        return ends

    def _append(self, found: MemoryRun, events: Sequence[NewRunEvent], now: datetime) -> None:
        for event in events:
            row = event_as_stored(event, found.run, found.next_seq, now)
            found.log.append(row)
            found.lines[found.run.branch_id].append(row)
        added = found.log[len(found.log) - len(events) :]
        found.state = fold_events(added, found.state)
        self._refresh(found, now)

    def _fork(self, found: MemoryRun, fork: Fork, now: datetime) -> None:
        line = _line_to(found, fork.seq)
        found.lines[fork.branch_id] = line
        found.state = fold_events(line)
        told = {**fork.event.data, "previous_branch_id": found.run.branch_id, "cutoff_seq": fork.seq}
        found.run = found.run.model_copy(update={"branch_id": fork.branch_id})
        self._append(found, [replace(fork.event, data=told)], now)

    def _refresh(self, found: MemoryRun, now: datetime) -> None:
        state = found.state
        changed = {
            "status": state.status,
            "position": state.position,
            "event_count": len(found.log),
            "updated_at": now,
            "open": found.run.parent_id is None and not state.status.closed,
        }
        found.run = found.run.model_copy(update=changed)

    def _cancel(self, match: TaskFilter, now: datetime) -> None:
        wanted = {name: value for name in LABELS if (value := getattr(match, name, None)) is not None}
        for task in list(self.live()):
            chosen = not match.task_ids or task.id in match.task_ids
            if chosen and all(getattr(task.new, name) == value for name, value in wanted.items()):
                error: Mapping[str, JsonValue] = {"code": "cancelled", "message": "the task was cancelled"}
                self.end_task(task, End(kind="task", state="cancelled", error=error), now)


def _end_of(child: MemoryRun) -> End | None:
    data = child.lines[child.run.branch_id][-1].data
    match child.state.status:
        case RunStatus.COMPLETED:
            return End(kind="child", state="completed", result=data.get("output"))
        case RunStatus.ERROR:
            return End(kind="child", state="failed", error=data.get("error"))
        case RunStatus.CANCELLED:
            return End(kind="child", state="cancelled", error={"code": "cancelled", "message": "it was cancelled"})
        case _:
            return None


def _line_to(found: MemoryRun, seq: int | None) -> list[RunEvent]:
    """Return the line of history up to an event, on whichever branch it is; of a run that begins again, nothing."""
    if seq is None:
        return []
    branch_id = found.log[seq].branch_id
    return [event for event in found.lines[branch_id] if event.seq <= seq]
