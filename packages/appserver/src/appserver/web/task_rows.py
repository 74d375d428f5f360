"""Task rows: tasks in one line each, with the title, the word and the percentage that their pages show too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appdb import Task, TaskState
from appserver.tasks.worker_presence import WorkerPresence
from appserver.web.texts import TRYING_AGAIN, state_word

TITLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One task in a list."""

    id: str
    state: TaskState
    title: str
    word: str


def row_of(task: Task, presence: WorkerPresence) -> TaskRow:
    """Return *task* as a list shows it."""
    word = word_of(task)
    if task.state is TaskState.PROCESSING:
        word = f"{word}, {percent_of(task)} %"
    if presence.unattended_for(task) is not None:
        word = f"{word}, but nobody works on it"
    return TaskRow(id=task.id, state=task.state, title=title_of(task), word=word)


def title_of(task: Task) -> str:
    """Return a title for *task*: its own, or the beginning of its script."""
    words = next((_line(task.payload, name) for name in ("title", "script") if _line(task.payload, name)), task.actor)
    return words if len(words) <= TITLE_CHARACTERS else f"{words[: TITLE_CHARACTERS - 1]}…"


def _line(payload: Mapping[str, Any], name: str) -> str:
    # Any actor's payload may have a field of this name, of any type.
    value = payload.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""


def word_of(task: Task) -> str:
    """Return the word for where *task* is."""
    if task.state is TaskState.PROCESSING and task.attempt > 1:
        return f"{state_word(task.state)}, attempt {task.attempt}"
    if task.state is TaskState.SCHEDULED and task.error is not None and not task.waiting:
        return TRYING_AGAIN
    return state_word(task.state)


def percent_of(task: Task) -> int:
    """Return how far *task* is, 0 to 100."""
    if task.state is TaskState.COMPLETED:
        return 100
    return round(100 * task.progress.fraction) if task.progress else 0
