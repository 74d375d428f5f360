"""A task and its content as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appdb import Task, TaskState
from appdb.models.content import Content

WORDS = {
    TaskState.SCHEDULED: "Waiting to try again",
    TaskState.QUEUED: "In the queue",
    TaskState.PROCESSING: "Running",
    TaskState.COMPLETED: "Done",
    TaskState.FAILED: "Failed",
    TaskState.CANCELLED: "Cancelled",
}
ENDINGS = {
    TaskState.COMPLETED: "The video is ready.",
    TaskState.FAILED: "",
    TaskState.CANCELLED: "Nothing more is made; what is there stays.",
}
TITLE_CHARACTERS = 80


@dataclass(slots=True, kw_only=True)
class Scene:
    """One scene: a picture, its text and its narration, each as soon as it is there."""

    index: int
    caption: str = ""
    picture: str | None = None
    narration: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything that the page of one task needs."""

    task: Task
    title: str
    word: str
    percent: int
    message: str
    scenes: list[Scene]
    video: Content | None
    poster: str | None


def file_url(content: Content) -> str:
    """Return where the bytes of *content* are."""
    return f"/api/contents/{content.id}/file"


def title_of(task: Task) -> str:
    """Return a title for *task*: its own, or the beginning of its script."""
    words: Any = task.payload.get("title") or task.payload.get("script") or task.actor
    line = " ".join(str(words).split())
    return line if len(line) <= TITLE_CHARACTERS else f"{line[: TITLE_CHARACTERS - 1]}…"


def story_of(task: Task, contents: Sequence[Content]) -> Story:
    """Return *task* with what it has made so far."""
    scenes: dict[int, Scene] = {}
    for content in contents:
        if content.index is not None:
            _add(scenes.setdefault(content.index, Scene(index=content.index)), content)
    ordered = [scenes[index] for index in sorted(scenes)]
    return Story(
        task=task,
        title=title_of(task),
        word=WORDS[task.state],
        percent=percent_of(task),
        message=ENDINGS.get(task.state, task.progress.message if task.progress else ""),
        scenes=ordered,
        video=next((content for content in contents if content.role == "video"), None),
        poster=ordered[0].picture if ordered else None,
    )


def percent_of(task: Task) -> int:
    """Return how far *task* is, 0 to 100."""
    if task.state is TaskState.COMPLETED:
        return 100
    return round(100 * task.progress.fraction) if task.progress else 0


def _add(scene: Scene, content: Content) -> None:
    scene.caption = content.caption or scene.caption
    if content.role == "picture":
        scene.picture = file_url(content)
    elif content.role == "narration":
        scene.narration = file_url(content)
