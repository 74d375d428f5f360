"""A script as scenes: its paragraphs, cleaned."""

from __future__ import annotations

import re

from appworker.errors import DiscardError

MAX_SCENES = 100
_BLANK_LINE = re.compile(r"\n\s*\n")
_LINE_ENDS = re.compile(r"\r\n?|\u2028|\u2029")


def scenes_of(script: str) -> list[str]:
    """Return the paragraphs of *script*, in order: what blank lines part, each on one line, without control characters.

    Raises:
        DiscardError: There is no visible text, or there are more than 100 paragraphs.
    """
    paragraphs = _BLANK_LINE.split(_LINE_ENDS.sub("\n", script))
    scenes = [scene for paragraph in paragraphs if (scene := _clean(paragraph))]
    if not scenes:
        raise DiscardError("script: it holds no visible text; write a few paragraphs, parted by blank lines")
    if len(scenes) > MAX_SCENES:
        raise DiscardError(
            f"script: it has {len(scenes)} paragraphs, and at most {MAX_SCENES} become one video; join some, or make "
            "several videos"
        )
    return scenes


def _clean(paragraph: str) -> str:
    visible = "".join(character if character.isprintable() else " " for character in paragraph)
    return " ".join(visible.split())
