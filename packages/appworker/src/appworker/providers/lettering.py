"""Text that fits a box: wrapped, shrunk, and cut with an ellipsis when nothing else helps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import fontpkg
from PIL import ImageFont

SMALLEST = 11
"""Pixels; below this nobody reads it."""
STEP = 0.9
LINE_SPACING = 1.32
ELLIPSIS = "…"
LONGEST = 4_000
"""Characters that are looked at: far more than any card can hold."""

FAMILY = "Noto Sans"
"""Latin, Greek, Cyrillic and Devanagari; it travels with the package, so every host draws the same picture."""

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


def fit(text: str, width: int, height: int, *, largest: int) -> Lettering:
    """Return *text* as large as fits into *width* by *height* pixels, at most *largest* pixels high."""
    words = text[:LONGEST]
    # A letter takes about half of its size squared; starting where that could fit saves most of the tries.
    promising = 1.5 * math.sqrt(width * height / max(1, len(words)))
    size = float(max(min(largest, promising), SMALLEST))
    while True:
        font = _font(int(size))
        line_height = int(size) * LINE_SPACING
        lines = list(_wrap(words, font, width))
        room = max(1, int(height / line_height))
        if len(lines) <= room and len(words) == len(text):
            break
        if size <= SMALLEST:
            lines = _cut(lines, room, font, width)
            break
        size = max(size * STEP, SMALLEST)
    return Lettering(lines=tuple(lines), font=font, line_height=line_height)


@cache
def _font(size: int) -> Font:
    return ImageFont.truetype(str(fontpkg.path(FAMILY)), size)


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
