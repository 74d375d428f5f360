"""The scenes of a script: its paragraphs, cleaned."""

from __future__ import annotations

import re

from appworker.errors import DiscardError
from appworker.providers.local.text import plain

MAX_SCENES = 100
MAX_SCENE_BYTES = 60_000
"""A paragraph is the caption of its scene, and is told with it in an event of the task's log, which has 64 KiB."""
VISIBLE = r"[^\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
"""One character that is no space, control or mere formatting; the same in JSON Schema, Python and Rust."""

_VISIBLE = re.compile(VISIBLE)
_BLANK_LINE = re.compile(r"\n\s*\n")
_LINE_ENDS = re.compile(r"\r\n?|\x85|\u2028|\u2029")


def scenes_of(script: str) -> list[str]:
    """Return the paragraphs of *script*, parted by blank lines; each on one line, without control characters.

    Raises:
        DiscardError: There is no visible text, there are more than 100 paragraphs, or one is over 60,000 bytes.
    """
    paragraphs = _BLANK_LINE.split(_LINE_ENDS.sub("\n", script))
    scenes = [" ".join(plain(paragraph).split()) for paragraph in paragraphs if _VISIBLE.search(paragraph)]
    if not scenes:
        raise DiscardError("script: it holds no visible text; write a few paragraphs, parted by blank lines")
    if len(scenes) > MAX_SCENES:
        raise DiscardError(
            f"script: it has {len(scenes)} paragraphs, and at most {MAX_SCENES} become one video; "
            "join some, or make several videos"
        )
    # Checked here and not by the database, whose error would come late and name no paragraph.
    for number, scene in enumerate(scenes, 1):
        if (size := len(scene.encode())) > MAX_SCENE_BYTES:
            raise DiscardError(
                f"script: paragraph {number} has {len(scene):,} characters ({size:,} bytes), and at most "
                f"{MAX_SCENE_BYTES:,} bytes become one scene; part it by a blank line"
            )
    return scenes
