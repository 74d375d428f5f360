"""A script is split into scenes, whatever it is made of."""

from __future__ import annotations

import re

import pytest

from appdb.host import MAX_EVENT_BYTES, check_size
from appworker.actors.script import MAX_SCENES, VISIBLE, scenes_of
from appworker.errors import DiscardError


def test_blank_lines_separate_scenes() -> None:
    assert scenes_of("One\nline.\n\n\n  Two.  \n \t\nThree.\n") == ["One line.", "Two.", "Three."]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\u2029", "\x85"])
def test_every_line_ending_counts(end: str) -> None:
    assert scenes_of(f"One{end}more.{end}{end}Two.") == ["One more.", "Two."]


def test_control_characters_go_emoji_stay() -> None:
    assert scenes_of("A\x00b\x1b[31mc 👩\u200d🚀 🏴\U000e0067\U000e0062\U000e007f") == [
        "A b [31mc 👩\u200d🚀 🏴\U000e0067\U000e0062\U000e007f"
    ]


def test_text_is_composed() -> None:
    assert scenes_of("Cafe\u0301") == ["Caf\u00e9"]


@pytest.mark.parametrize("script", ["", "  \n\n\t", "\x00\x01\n\n\x7f", "\u200b\n\n\u2060\ufeff"])
def test_script_without_visible_text_is_final_failure(script: str) -> None:
    with pytest.raises(DiscardError, match="script: it holds no visible text"):
        scenes_of(script)


def test_paragraphs_without_visible_text_are_skipped() -> None:
    assert scenes_of("One.\n\n\u200b\n\n\x07\n\nTwo.") == ["One.", "Two."]


def test_allowed_number_of_paragraphs_become_scenes() -> None:
    assert len(scenes_of("\n\n".join("x" * MAX_SCENES))) == MAX_SCENES


def test_one_paragraph_too_many_is_final_failure() -> None:
    with pytest.raises(DiscardError, match="101 paragraphs, and at most 100 become one video; join some"):
        scenes_of("\n\n".join("x" * (MAX_SCENES + 1)))


def test_very_long_paragraph_is_one_scene() -> None:
    text = "word " * 2_000

    assert scenes_of(text) == [text.strip()]


def test_too_long_paragraph_is_refused_with_count() -> None:
    fits = "😀" * 15_000

    assert scenes_of(fits) == [fits]
    with pytest.raises(
        DiscardError, match=r"paragraph 2 has 15,001 characters \(60,004 bytes\).*part it by a blank line"
    ):
        scenes_of(f"One.\n\n{fits}😀")
    check_size("event", {"caption": fits, "sha256": "0" * 64, "content_id": "c" * 100}, MAX_EVENT_BYTES)


@pytest.mark.parametrize("text", ["\u200b", " \n", "\x00", "\xad", "\u202e", "\ufeff", "x", "😀", "日", "!"])
def test_schema_pattern_agrees_with_splitting(text: str) -> None:
    if re.search(VISIBLE, text):
        assert len(scenes_of(text)) == 1
    else:
        with pytest.raises(DiscardError):
            scenes_of(text)
