"""Drawn cards: seeded landscapes with a caption, painted with Pillow."""

from __future__ import annotations

import colorsys
import hashlib
import io
import math
import random
import unicodedata
from collections import Counter
from dataclasses import dataclass

from PIL import Image, ImageDraw

from appworker.providers.local.pictures.lettering import Lettering, fit, has_glyph
from appworker.providers.local.text import plain
from appworker.providers.results import DrawnPicture

NAME = "drawn-cards"

Color = tuple[int, int, int]
HILL_LAYERS = 5
SMALLEST_LETTERS = 9
"""Pixels, on small cards; on others three hundredths of the height, below which nobody would read them."""
MISSING_LETTERS = 0.25
"""A text of which the font lacks more than this share of letters is not written: boxes help nobody."""
NAMED_SCRIPTS = 2
WIDTHS = ("HALFWIDTH", "FULLWIDTH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The request for one card.

    Args:
        text: The caption; it is shrunk to fit, and cut with an ellipsis when even that does not do. Where the font has
            no letters for it, the card says so and names the script.
        title: A line above it, or ``None``.
        number: Shown as ``number / total``, from 1.
        total: How many cards there are.
        seed: Another seed gives another picture.
        width: Pixels.
        height: Pixels.
    """

    text: str
    title: str | None
    number: int
    total: int
    seed: int
    width: int
    height: int


class DrawnCards:
    """Draws cards: the same request always gives the same bytes."""

    name = NAME

    def check(self) -> None:
        """Return: it needs nothing but this package."""

    def draw(self, card: Card) -> DrawnPicture:
        """Return *card* as a picture."""
        chance = random.Random(_digest(card))
        image = _landscape(card.width, card.height, chance)
        _write_caption(image, card)
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=6)
        return DrawnPicture(png=file.getvalue(), width=card.width, height=card.height, seed=card.seed)


def _digest(card: Card) -> str:
    request = f"{card.seed}\x00{card.number}\x00{card.text}".encode("utf-8", "replace")
    return hashlib.sha256(request).hexdigest()


def _landscape(width: int, height: int, chance: random.Random) -> Image.Image:
    hue = chance.random()
    image = _sky(width, height, hue)
    draw = ImageDraw.Draw(image, "RGBA")
    _sun(draw, width, height, hue, chance)
    for layer in range(HILL_LAYERS):
        _hill(draw, width, height, layer, hue, chance)
    _birds(draw, width, height, chance)
    return image


def _sky(width: int, height: int, hue: float) -> Image.Image:
    column = Image.new("RGB", (1, height))
    for y in range(height):
        depth = y / height
        column.putpixel((0, y), _color(hue + 0.08 * depth, 0.55 - 0.35 * depth, 0.62 + 0.36 * depth))
    return column.resize((width, height))


def _sun(draw: ImageDraw.ImageDraw, width: int, height: int, hue: float, chance: random.Random) -> None:
    x, y = width * chance.uniform(0.2, 0.8), height * chance.uniform(0.18, 0.34)
    radius = height * chance.uniform(0.07, 0.11)
    for ring in range(6, -1, -1):
        r = radius * (1 + 0.32 * ring)
        alpha = 255 if ring == 0 else 26
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(*_color(hue + 0.12, 0.18, 1.0), alpha))


def _hill(draw: ImageDraw.ImageDraw, width: int, height: int, layer: int, hue: float, chance: random.Random) -> None:
    base = height * (0.42 + 0.1 * layer)
    waves = [(chance.uniform(0.6, 2.6), chance.uniform(0, math.tau), chance.uniform(0.02, 0.055)) for _ in range(3)]
    step = max(2, width // 240)
    ridge = []
    for x in range(0, width + step, step):
        lift = sum(size * math.sin(math.tau * pitch * x / width + phase) for pitch, phase, size in waves)
        ridge.append((float(x), base + height * lift))
    shade = layer / (HILL_LAYERS - 1)
    fill = _color(hue + 0.05 - 0.12 * shade, 0.30 + 0.35 * shade, 0.72 - 0.50 * shade)
    draw.polygon([(0.0, float(height)), *ridge, (float(width), float(height))], fill=fill)
    if layer >= 2:
        _trees(draw, ridge, height, fill, chance)


def _trees(
    draw: ImageDraw.ImageDraw,
    ridge: list[tuple[float, float]],
    height: int,
    fill: Color,
    chance: random.Random,
) -> None:
    dark = (int(fill[0] * 0.8), int(fill[1] * 0.8), int(fill[2] * 0.8))
    for _ in range(chance.randint(3, 9)):
        x, y = chance.choice(ridge)
        size = height * chance.uniform(0.02, 0.05)
        for tier in range(3):
            top, half = y - size * (1.6 - 0.45 * tier), size * (0.22 + 0.1 * tier)
            draw.polygon([(x, top), (x - half, top + size * 0.75), (x + half, top + size * 0.75)], fill=dark)


def _birds(draw: ImageDraw.ImageDraw, width: int, height: int, chance: random.Random) -> None:
    for _ in range(chance.randint(2, 6)):
        x, y = width * chance.uniform(0.1, 0.9), height * chance.uniform(0.08, 0.36)
        span = height * chance.uniform(0.012, 0.024)
        pen = max(1, height // 240)
        draw.arc((x - 2 * span, y - span, x, y + span), 200, 340, fill=(40, 40, 60, 190), width=pen)
        draw.arc((x, y - span, x + 2 * span, y + span), 200, 340, fill=(40, 40, 60, 190), width=pen)


def _write_caption(image: Image.Image, card: Card) -> None:
    draw = ImageDraw.Draw(image, "RGBA")
    width, height = image.size
    margin = height * 0.05
    if text := caption_of(card.text):
        _write_panel(draw, text, width, height, margin)
    _write_corner(draw, f"{card.number} / {card.total}", width - margin, margin, height, right=True)
    if title := title_of(card.title or ""):
        _write_corner(draw, title, margin, margin, height, right=False)


def _write_panel(draw: ImageDraw.ImageDraw, text: str, width: int, height: int, margin: float) -> None:
    padding = height * 0.035
    inner = int(width - 2 * margin - 2 * padding)
    lettering = fit(text, inner, int(height * 0.34), largest=int(height * 0.062), smallest=_smallest(height))
    top = height - margin - padding * 2 - lettering.height
    panel = (margin, top, width - margin, height - margin)
    draw.rounded_rectangle(panel, radius=height * 0.03, fill=(14, 16, 28, 188))
    _write(draw, lettering, margin + padding, top + padding)


def _write(draw: ImageDraw.ImageDraw, lettering: Lettering, x: float, y: float) -> None:
    for row, line in enumerate(lettering.lines):
        draw.text((x, y + row * lettering.line_height), line, font=lettering.font, fill=(248, 248, 252))


def _write_corner(draw: ImageDraw.ImageDraw, text: str, x: float, y: float, height: int, *, right: bool) -> None:
    label = fit(text, int(height * 1.1), int(height * 0.06), largest=int(height * 0.042), smallest=_smallest(height))
    padding = height * 0.016
    span = label.width + 2 * padding
    left = x - span if right else x
    pill = (left, y, left + span, y + label.height + 2 * padding)
    draw.rounded_rectangle(pill, radius=height * 0.025, fill=(14, 16, 28, 150))
    _write(draw, label, left + padding, y + padding)


def _smallest(height: int) -> int:
    return max(SMALLEST_LETTERS, int(height * 0.03))


def caption_of(text: str) -> str:
    """Return what a card says for *text*: the text, or which letters are lacking; empty where there are none."""
    if scripts := lacking_scripts(text):
        return f"This text is in {scripts}, for which these cards have no letters."
    return _writable(text)


def title_of(text: str) -> str:
    """Return what a card says for a title, as ``caption_of`` does for a text."""
    if scripts := lacking_scripts(text):
        return f"(A title in {scripts})"
    return _writable(text)


def lacking_scripts(text: str) -> str:
    """Return the scripts of *text* that the font cannot write, the most frequent first, as words; usually empty."""
    letters = [character for character in plain(text) if character.isalpha()]
    missing = [letter for letter in letters if not has_glyph(letter)]
    if len(missing) <= MISSING_LETTERS * len(letters):
        return ""
    frequent = Counter(map(_script_of, missing)).most_common(NAMED_SCRIPTS)
    return " and ".join(script for script, _ in frequent)


def _script_of(letter: str) -> str:
    # The name of a letter begins with that of its script.
    words = [word for word in unicodedata.name(letter, "").split() if word not in WIDTHS]
    if not words:
        return "another script"
    return "Chinese characters" if words[0] == "CJK" else words[0].title()


def _writable(text: str) -> str:
    """Return *text* without the signs that the font lacks; a rare letter that it lacks is a box."""
    characters = [character for character in plain(text) if unicodedata.category(character) != "Cf"]
    return "".join(character for character in characters if character.isalpha() or has_glyph(character)).strip()


def _color(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(red * 255), round(green * 255), round(blue * 255)
