"""A task as its page shows it: how it stands, what it gave, and what it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appdb import Task, TaskState
from appdb.models.generated_content import Content
from appserver.api.schemas.tasks import file_url
from appserver.tasks.attendance import Absence, Attendance
from appserver.tasks.failures import shown_error
from appserver.web.showing import Field, Item, fields_of, item_of

FILM_ACTOR, FILM_OPERATION = "media", "script2video"
WORDS = {
    TaskState.SCHEDULED: "Waiting",
    TaskState.QUEUED: "In the queue",
    TaskState.PROCESSING: "Running",
    TaskState.COMPLETED: "Done",
    TaskState.FAILED: "Failed",
    TaskState.CANCELLED: "Cancelled",
}
TRYING_AGAIN = "Waiting to try again"
FILM_READY = "The video is ready."
CANCELLED = "Nothing more is made; what is there stays."
TITLE_CHARACTERS = 80


@dataclass(slots=True, kw_only=True)
class Scene:
    """One scene of a film: a picture, its text and its narration, each as soon as it is there."""

    index: int
    caption: str = ""
    picture: str | None = None
    narration: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One task in a list."""

    id: str
    state: TaskState
    title: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """What a script became so far."""

    scenes: list[Scene]
    video: str | None
    poster: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything that the page of one task needs."""

    task: Task
    title: str
    word: str
    percent: int
    message: str
    error: str
    """What went wrong last, while that matters: before the next attempt, and at the end."""
    absence: Absence | None
    """Since when nobody works on it, where nobody does."""
    film: Film | None
    """``None`` for what is no film: then ``result`` and ``items`` are all there is to show."""
    result: list[Field]
    items: list[Item]

    def words(self) -> dict[str, str]:
        """Return the words that the page's script needs, so that both always say the same."""
        ready = FILM_READY if self.film else ""
        states = {str(state): word for state, word in WORDS.items()}
        return states | {"again": TRYING_AGAIN, "ready": ready, "nothing_more": CANCELLED}


def story_of(task: Task, contents: Sequence[Content], absence: Absence | None) -> Story:
    """Return *task* with what it has made so far."""
    film = _film_of(contents) if is_film(task) else None
    return Story(
        task=task,
        title=title_of(task),
        word=word_of(task),
        percent=percent_of(task),
        message=_message_of(task, film),
        error=_error_of(task),
        absence=absence,
        film=film,
        result=[] if film else fields_of(task.result),
        items=[] if film else [item_of(content) for content in sorted(contents, key=_place)],
    )


def row_of(task: Task, present: Attendance) -> Row:
    """Return *task* as a list shows it."""
    word = word_of(task)
    if task.state is TaskState.PROCESSING:
        word = f"{word}, {percent_of(task)} %"
    if not task.state.final and present.absence(task.actor, task.actor_version, task.queue) is not None:
        word = f"{word}, but nobody works on it"
    return Row(id=task.id, state=task.state, title=title_of(task), word=word)


def is_film(task: Task) -> bool:
    """Return whether *task* is what this page's own form makes."""
    return task.actor == FILM_ACTOR and task.payload.get("operation") == FILM_OPERATION


def title_of(task: Task) -> str:
    """Return a title for *task*: its own, or the beginning of its script."""
    words = next((_line(task.payload, name) for name in ("title", "script") if _line(task.payload, name)), task.actor)
    return words if len(words) <= TITLE_CHARACTERS else f"{words[: TITLE_CHARACTERS - 1]}…"


def _line(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""


def word_of(task: Task) -> str:
    """Return the word for where *task* is."""
    if task.state is TaskState.PROCESSING and task.attempt > 1:
        return f"{_word(task.state)}, attempt {task.attempt}"
    if task.state is TaskState.SCHEDULED and task.error is not None and not task.waiting:
        return TRYING_AGAIN
    return _word(task.state)


def _word(state: TaskState) -> str:
    # Hosts of a newer release may know other states; theirs are shown by their names.
    return WORDS.get(state) or str(state).replace("_", " ").capitalize()


def percent_of(task: Task) -> int:
    """Return how far *task* is, 0 to 100."""
    if task.state is TaskState.COMPLETED:
        return 100
    return round(100 * task.progress.fraction) if task.progress else 0


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
    return content.index is None, content.index or 0, content.created_at


def _film_of(contents: Sequence[Content]) -> Film:
    scenes: dict[int, Scene] = {}
    for content in contents:
        if content.index is not None:
            _add(scenes.setdefault(content.index, Scene(index=content.index)), content)
    ordered = [scenes[index] for index in sorted(scenes)]
    videos = (file_url(content.id, content.sha256) for content in contents if content.role == "video")
    return Film(scenes=ordered, video=next(videos, None), poster=ordered[0].picture if ordered else None)


def _add(scene: Scene, content: Content) -> None:
    scene.caption = content.caption or scene.caption
    if content.role == "picture":
        scene.picture = file_url(content.id, content.sha256)
    elif content.role == "narration":
        scene.narration = file_url(content.id, content.sha256)
