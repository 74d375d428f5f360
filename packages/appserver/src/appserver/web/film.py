"""Films: scripts made into narrated videos, the one kind of task that has a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appdb import Task
from appdb.models import Content
from appserver.http.media import file_url

FILM_ACTOR, FILM_OPERATION = "media", "script2video"


@dataclass(slots=True, kw_only=True)
class Scene:
    """One scene of a film: a picture, its text and its narration, each as soon as it is there."""

    index: int
    caption: str = ""
    picture: str | None = None
    narration: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """The scenes and the video that a script became so far."""

    scenes: list[Scene]
    video: str | None
    poster: str | None


def is_film(task: Task) -> bool:
    """Return whether *task* is one that this site's own form makes."""
    return task.actor == FILM_ACTOR and task.payload.get("operation") == FILM_OPERATION


def film_of(contents: Sequence[Content]) -> Film:
    """Return the film that *contents* of one task are parts of."""
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
