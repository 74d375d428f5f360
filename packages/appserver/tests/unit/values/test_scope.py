from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.values.pointers import parts_of, pointer_of
from appserver.values.scope import MAX_PATH_CHARACTERS, NOTHING, is_path, known_part, lookup

SCOPE = {"input": {"scenes": [{"text": "sea"}, {"text": None}], "0": "zero", "größe": 1}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("input.scenes.0.text", "sea"),
        ("input.scenes.1.text", None),
        ("input.0", "zero"),
        ("input.größe", 1),
    ],
)
def test_path_leads_through_names_and_indexes(path: str, value: object) -> None:
    assert is_path(path)
    assert lookup(SCOPE, path) == value


@pytest.mark.parametrize(
    "path", ["input.scenes.2", "input.scenes.-1", "input.scenes.x", "input.0.x", "state", "input.¹"]
)
def test_path_to_nothing_is_nothing(path: str) -> None:
    assert lookup(SCOPE, path) is NOTHING


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a b", "../etc/passwd", "$where", "a[0]", "{{a}}", "a\n", "x" * 257, "a.__{}"]
)
def test_text_of_other_form_is_no_path(text: str) -> None:
    assert not is_path(text)


def test_longest_path_is_at_its_cap() -> None:
    assert is_path("x" * MAX_PATH_CHARACTERS)


def test_known_part_is_the_longest_beginning() -> None:
    assert known_part(SCOPE, "input.scenes.0.pace") == "input.scenes.0"
    assert known_part(SCOPE, "state.x") == ""


@given(st.text(), st.recursive(st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_lookup_never_raises(path: str, value: object) -> None:
    lookup({"input": value}, path)


@given(st.lists(st.text(max_size=6), max_size=5))
def test_pointer_gives_its_parts_back(names: list[str]) -> None:
    assert list(parts_of(pointer_of(names))) == names
