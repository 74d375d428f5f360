"""The page of a task: everything that its template shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from appdb import Task, TaskState
from appdb.models import Content
from appserver.tasks.shown_errors import shown_error
from appserver.tasks.worker_presence import UnattendedTask
from appserver.web.film import Film, film_of, is_film
from appserver.web.output import OutputFile, ResultField, file_of, result_fields
from appserver.web.task_rows import percent_of, title_of, word_of
from appserver.web.texts import CANCELLED, FILM_READY, script_words


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPageContext:
    """The context of the template of one task's page."""

    task: Task
    title: str
    word: str
    percent: int
    message: str
    error: str
    """The last error, while it matters: before the next attempt, and at the end."""
    unattended: UnattendedTask | None
    """Since when no worker can do it, while none can."""
    film: Film | None
    """``None`` for a task that is no film: then ``result`` and ``files`` are all there is to show."""
    result: list[ResultField]
    files: list[OutputFile]

    def words(self) -> dict[str, str]:
        """Return the words that the page's script needs."""
        return script_words(is_film=self.film is not None)


def task_page(task: Task, contents: Sequence[Content], unattended: UnattendedTask | None) -> TaskPageContext:
    """Return *task* with what it has made so far."""
    film = film_of(contents) if is_film(task) else None
    return TaskPageContext(
        task=task,
        title=title_of(task),
        word=word_of(task),
        percent=percent_of(task),
        message=_message_of(task, film),
        error=_error_of(task),
        unattended=unattended,
        film=film,
        result=[] if film else result_fields(task.result),
        files=[] if film else [file_of(content) for content in sorted(contents, key=_place)],
    )


def _message_of(task: Task, film: Film | None) -> str:
    match task.state:
        case TaskState.COMPLETED:
            return FILM_READY if film and film.video else ""
        case TaskState.CANCELLED:
            return CANCELLED
        case TaskState.FAILED:
            return ""
        case _:
            return task.progress.message if task.progress else ""


def _error_of(task: Task) -> str:
    matters = task.state in (TaskState.SCHEDULED, TaskState.FAILED) and not task.waiting
    return shown_error(task.error, task.id).message if task.error is not None and matters else ""


def _place(content: Content) -> tuple[bool, int, datetime]:
    # Content without an index comes last, in the order in which it was made.
    return content.index is None, content.index or 0, content.created_at
