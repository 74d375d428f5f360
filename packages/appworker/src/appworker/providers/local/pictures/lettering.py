"""Text that fits a box: wrapped, shrunk, and cut with an ellipsis when nothing else helps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import fontpkg
from PIL import ImageFont

STEP = 0.9
LINE_SPACING = 1.32
ELLIPSIS = "…"
NO_CHARACTER = "\uffff"
PROBE_SIZE = 24
LONGEST = 4_000
"""Characters that are looked at: far more than any card can hold."""

FAMILY = "Noto Sans"
"""Latin, Greek and Cyrillic; it is installed with the worker, so every host draws the same picture."""

Font = ImageFont.FreeTypeFont


@dataclass(frozen=True, slots=True, kw_only=True)
class Lettering:
    """Lines of text with the font that makes them fit."""

    lines: tuple[str, ...]
    font: Font
    line_height: float
    """Pixels."""

    @property
    def height(self) -> float:
        """Pixels from the first line's top to the last line's bottom."""
        return self.line_height * len(self.lines)

    @property
    def width(self) -> float:
        """Pixels of the longest line."""
        return max((self.font.getlength(line) for line in self.lines), default=0)


def fit(text: str, width: int, height: int, *, largest: int, smallest: int) -> Lettering:
    """Return *text* as large as fits into *width* by *height* pixels; if it never fits, cut with an ellipsis.

    Args:
        text: Words; line breaks count as spaces.
        width: Pixels.
        height: Pixels; one line is drawn even if it is higher.
        largest: The largest size of letters to try, in pixels.
        smallest: The smallest, below which nobody would read it.
    """
    words = text[:LONGEST]
    # A letter takes about half of its size squared; starting where that could fit saves most of the tries.
    promising = 1.5 * math.sqrt(width * height / max(1, len(words)))
    size = max(min(float(largest), promising), float(smallest))
    while True:
        font = _font(int(size))
        line_height = int(size) * LINE_SPACING
        lines = list(_wrap(words, font, width))
        room = max(1, int(height / line_height))
        if len(lines) <= room and len(words) == len(text):
            break
        if size <= smallest:
            lines = _cut(lines, room, font, width)
            break
        size = max(size * STEP, float(smallest))
    return Lettering(lines=tuple(lines), font=font, line_height=line_height)


@lru_cache(4096)
def has_glyph(character: str) -> bool:
    """Return whether the font can draw *character*, or would draw an empty box."""
    return _shape(character) != _shape(NO_CHARACTER)


def _shape(character: str) -> tuple[tuple[int, int], bytes]:
    mask = _font(PROBE_SIZE).getmask(character)
    return mask.size, bytes(mask)


@cache
def _font(size: int) -> Font:
    # Not Raqm: hosts differ in whether they have it, and the same card must be the same picture everywhere.
    return ImageFont.truetype(str(fontpkg.path(FAMILY)), size, layout_engine=ImageFont.Layout.BASIC)


def _wrap(text: str, font: Font, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            yield line
        *full, line = _split(word, font, width)
        yield from full
    yield line


def _split(word: str, font: Font, width: int) -> list[str]:
    """Return *word* in pieces that are no wider than a line."""
    pieces = [""]
    for character in word:
        if pieces[-1] and font.getlength(pieces[-1] + character) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _cut(lines: list[str], room: int, font: Font, width: int) -> list[str]:
    kept = lines[:room]
    last = kept[-1]
    while last and font.getlength(last + ELLIPSIS) > width:
        last = last[:-1]
    kept[-1] = last.rstrip() + ELLIPSIS
    return kept
