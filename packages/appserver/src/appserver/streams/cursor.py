"""Cursors: the places of a viewer in the logs that a stream follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from appdb import Task
from appdb.models import Run
from appserver.errors import CursorError

BEFORE_ALL = -1
"""The number before the first event of a log, whose events count from 0."""
MAX_TASKS = 50
MAX_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCursor:
    """A viewer's place in the log of one task.

    Args:
        task_id: The task.
        seq: The number of the newest event that the viewer knows, or -1 for none.
    """

    task_id: str
    seq: int = BEFORE_ALL

    @classmethod
    def parse(cls, field: str, text: str, task: Task) -> TaskCursor:
        """Return the cursor that *text*, the request's *field*, holds for *task*.

        Raises:
            CursorError: It is not a number of this task's log.
        """
        seq = _number(text)
        if seq is None or not BEFORE_ALL <= seq <= task.last_seq:
            message = f"it must be the number of an event of this task, {BEFORE_ALL} to {task.last_seq}"
            raise CursorError(field, message)
        return cls(task_id=task.id, seq=seq)

    def at(self, seq: int) -> TaskCursor:
        """Return the place in the same log behind event *seq*."""
        return replace(self, seq=seq)

    def ends(self, task: Task) -> bool:
        """Return whether the viewer knows all events that *task* will ever have."""
        return task.state.final and self.seq == task.last_seq


class TaskCursors:
    """A viewer's places in the logs of several tasks; as text, ``TASK:SEQ,TASK:SEQ``."""

    def __init__(self, cursors: Iterable[TaskCursor]) -> None:
        self._cursors = {cursor.task_id: cursor for cursor in cursors}

    @classmethod
    def parse(cls, field: str, text: str) -> TaskCursors:
        """Return the cursors that *text*, the request's *field*, holds.

        Raises:
            CursorError: It is malformed, or names more than 50 tasks.
        """
        cursors = cls(_task_cursor(field, part) for part in text.split(","))
        if (count := len(cursors.task_ids)) > MAX_TASKS:
            raise CursorError(field, f"it names {count} tasks, and one stream follows at most {MAX_TASKS}")
        return cursors

    @property
    def task_ids(self) -> list[str]:
        """The tasks, in the order in which they were named."""
        return list(self._cursors)

    def __iter__(self) -> Iterator[TaskCursor]:
        return iter(self._cursors.values())

    def __str__(self) -> str:
        return ",".join(f"{cursor.task_id}:{cursor.seq}" for cursor in self)

    def check(self, field: str, tasks: Iterable[Task]) -> None:
        """Check that each of *tasks* has the event that its cursor names.

        Raises:
            CursorError: One of the cursors is behind the end of its log.
        """
        for task in tasks:
            if not BEFORE_ALL <= self._cursors[task.id].seq <= task.last_seq:
                message = f"{task.id} has the events 0 to {task.last_seq}; {BEFORE_ALL} asks for all of them"
                raise CursorError(field, message)

    def without_ended(self, tasks: Iterable[Task]) -> TaskCursors:
        """Return the cursors of those of *tasks* that may still have events for the viewer."""
        return TaskCursors(cursor for task in tasks if not (cursor := self._cursors[task.id]).ends(task))

    def move(self, task_id: str, seq: int) -> None:
        """Note that the viewer knows event *seq* of the task."""
        self._cursors[task_id] = self._cursors[task_id].at(seq)


def run_position(field: str, text: str, run: Run) -> int:
    """Return the number of the newest event that a viewer of *run* knows, as *text*, the request's *field*, holds it.

    Raises:
        CursorError: It is not a number of this run's log.
    """
    seq = _number(text)
    last = run.event_count - 1
    if seq is None or not BEFORE_ALL <= seq <= last:
        raise CursorError(field, f"it must be the number of an event of this run, {BEFORE_ALL} to {last}")
    return seq


def _task_cursor(field: str, part: str) -> TaskCursor:
    task_id, _, text = part.rpartition(":")
    seq = _number(text)
    if not task_id or seq is None:
        raise CursorError(field, "it must be TASK:SEQ, parted by commas")
    return TaskCursor(task_id=task_id, seq=seq)


def _number(text: str) -> int | None:
    # ``int`` alone would take spaces, underscores and the digits of other scripts.
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(text) <= MAX_DIGITS else None
