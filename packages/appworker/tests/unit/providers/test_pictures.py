"""Cards are a pure function of their request, and any text fits them."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from appworker.providers.local.pictures.cards import Card, DrawnCards, caption_of, lacking_scripts, title_of
from appworker.providers.local.pictures.lettering import ELLIPSIS, fit, has_glyph

TEXT = "The lighthouse keeper woke before the gulls did."


def card(
    text: str = TEXT,
    *,
    title: str | None = None,
    number: int = 1,
    seed: int = 7,
    width: int = 960,
    height: int = 540,
) -> Card:
    return Card(text=text, title=title, number=number, total=5, seed=seed, width=width, height=height)


def draw(request: Card) -> bytes:
    return DrawnCards().draw(request).png


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def has_panel(png: bytes) -> bool:
    """Compare the foreground hill beside the caption's panel with what is in the panel."""
    image = opened(png)
    return image.getpixel((10, 508)) != image.getpixel((480, 508))


def test_same_request_gives_same_bytes() -> None:
    assert draw(card()) == draw(card())


@pytest.mark.parametrize("other", [card(seed=8), card(TEXT + "!"), card(number=2), card(title="A title")], ids=str)
def test_other_request_gives_other_picture(other: Card) -> None:
    assert draw(other) != draw(card())


@pytest.mark.parametrize(("width", "height"), [(320, 180), (960, 540), (1920, 1080), (320, 1080), (1920, 180)])
@pytest.mark.parametrize("text", [TEXT, "word " * 2_000, "W" * 10_000])
def test_card_has_requested_size(width: int, height: int, text: str) -> None:
    picture = DrawnCards().draw(card(text, title="T" * 120, width=width, height=height))

    assert (picture.width, picture.height, picture.seed) == (width, height, 7)
    assert opened(picture.png).size == (width, height)
    assert opened(picture.png).format == "PNG"


def test_picture_is_not_dull() -> None:
    colors = opened(draw(card())).convert("RGB").getcolors(maxcolors=960 * 540)

    assert colors is not None
    assert len(colors) > 300


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00\x1b[31m\x7f",
        "\ud800",
        "😀🎉👩\u200d🚀🏴\U000e0067\U000e007f",
        "日本語のテキスト",
        "Жили-были 20 °C © ½",
        "שלום عالم नमस्ते",
        "e\u0301" * 50,
        "\u0301" * 500,
        "\u202eabc",
        "\U0010ffff\ufffe",
    ],
)
def test_any_text_can_be_drawn(text: str) -> None:
    assert opened(draw(card(text, title=text))).size == (960, 540)


def test_composed_and_decomposed_text_look_alike() -> None:
    composed, decomposed = fit("Caf\u00e9", 400, 50, largest=30, smallest=10), "Cafe\u0301"

    assert composed.lines == ("Café",)
    assert opened(draw(card("x", title="Caf\u00e9"))) == opened(draw(card("x", title=decomposed)))


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        ("灯塔看守人醒来", "Chinese characters"),
        ("استيقظ حارس المنارة", "Arabic"),
        ("日本語のテキスト, 20 °C", "Katakana and Chinese characters"),
        ("ｶﾀｶﾅ", "Katakana"),
        ("สวัสดี", "Thai"),
        ("\U000e0fff" + "עברית", "Hebrew"),
        (TEXT, ""),
        ("Жили-были", ""),
        ("Tokyo is 東京 and nothing else is", ""),
        ("", ""),
        ("😀🎉", ""),
    ],
)
def test_text_without_letters_names_its_script(text: str, scripts: str) -> None:
    assert lacking_scripts(text) == scripts
    assert (f"is in {scripts}, for which these cards have no letters" in caption_of(text)) == bool(scripts)
    assert (title_of(text) == f"(A title in {scripts})") == bool(scripts)


def test_card_tells_letters_it_lacks() -> None:
    assert has_panel(draw(card("word")))
    assert has_panel(draw(card("Tokyo is 東京 and nothing else is")))
    assert has_panel(draw(card("日本語のテキスト, 20 °C")))
    assert not has_panel(draw(card("😀🎉")))


@pytest.mark.parametrize("character", ["a", "é", "Ж", "°", "©", "½", "…", "—", "\u2019"])
def test_font_has_usual_signs(character: str) -> None:
    assert has_glyph(character)


@pytest.mark.parametrize("text", [TEXT, "word " * 500, "W" * 3_000, "", "i"])
def test_lettering_fits_its_box(text: str) -> None:
    lettering = fit(text, 800, 180, largest=34, smallest=16)

    assert lettering.height <= 180
    assert lettering.width <= 800


def test_lettering_shrinks_before_it_is_cut() -> None:
    short = fit(TEXT, 800, 180, largest=34, smallest=16)
    longer = fit(f"{TEXT} " * 8, 800, 180, largest=34, smallest=16)
    longest = fit(f"{TEXT} " * 80, 800, 180, largest=34, smallest=16)

    assert short.font.size > longer.font.size >= longest.font.size
    assert "".join(longer.lines).count("gulls") == 8
    assert longest.lines[-1].endswith(ELLIPSIS)
