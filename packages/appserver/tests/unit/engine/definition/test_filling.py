from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.engine.definition.filling import fill, fill_inputs
from appserver.engine.definition.model import MAX_FILLED_BYTES
from appserver.engine.definition.references import references_in
from appserver.errors import FillError

SCOPE: dict[str, Any] = {
    "input": {"topic": "tides", "count": 3, "yes": True, "none": None, "list": [1, "a"], "evil": "{{ run.id }}"},
    "run": {"id": "wf_1"},
    "modules": {"form": {"answer": {"scenes": [{"text": "sea"}]}}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
TEXTS = st.lists(
    st.sampled_from(
        ["{{ input.topic }}", "{{input.list}}", "{{ input.evil }}", "\\{{", "{{", "}}", "x", "{{ input.q }}", "\ud800"]
    ),
    max_size=4,
).map("".join)
WRITTEN = st.recursive(
    JSON | TEXTS | st.fixed_dictionaries({"$ref": TEXTS | st.just("input.list")}, optional={"default": JSON}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("{{ input.topic }}", "tides"),
        ("{{input.count}}", 3),
        ("{{ input.none }}", None),
        ("{{ input.list }}", [1, "a"]),
        ("{{ modules.form.answer.scenes.0.text }}", "sea"),
        ("On {{ input.topic }}: {{ input.count }}", "On tides: 3"),
        ("{{ input.yes }} {{ input.none }} {{ input.list }}", 'true null [1,"a"]'),
        (r"\{{ input.topic }} {{ input.topic }}", "{{ input.topic }} tides"),
        ({"$ref": "input.nope", "default": {"a": "{{ input.topic }}"}}, {"a": "{{ input.topic }}"}),
        ({"$ref": "input.count", "default": 4}, 3),
        ({"$ref": "#/$defs/Item", "default": 4}, {"$ref": "#/$defs/Item", "default": 4}),
        ({"$ref": 3}, {"$ref": 3}),
        ([{"a": ["{{ input.count }}"]}], [{"a": [3]}]),
        ("} } {x} {", "} } {x} {"),
        (1.5, 1.5),
    ],
)
def test_value_is_filled_with_its_type(value: Any, filled: Any) -> None:
    found = fill(value, SCOPE)

    assert found == filled
    assert type(found) is type(filled)


@pytest.mark.parametrize("text", ["{{ input.evil }}", "so {{ input.evil }}", "{{ input.evil }}{{ input.evil }}"])
def test_inserted_text_is_never_filled_again(text: str) -> None:
    assert "wf_1" not in str(fill(text, SCOPE))


@pytest.mark.parametrize(
    ("value", "pointer", "path", "word"),
    [
        ({"a": ["{{ input.nope }}"]}, "/a/0", "input.nope", "input is there"),
        ({"a/b": "{{ env.HOME }}"}, "/a~1b", "env.HOME", "nothing that is known"),
        ({"$ref": "modules.form.answer.scenes.1.text"}, "", "modules.form.answer.scenes.1.text", "scenes is there"),
        ("{{ input.topic", "", "{{ input.topic", "is no path"),
        ("{{ input.topic | upper }}", "", "input.topic | upper", "is no path"),
        ("{% for x in y %}{{", "", "{{", "is no path"),
        ("{{ ../../etc/passwd }}", "", "../../etc/passwd", "is no path"),
        ({"$ref": "https://example.org/x"}, "", "https://example.org/x", "is no path"),
    ],
)
def test_error_names_path_and_pointer(value: Any, pointer: str, path: str, word: str) -> None:
    with pytest.raises(FillError) as caught:
        fill(value, SCOPE)

    assert (caught.value.pointer, caught.value.path) == (pointer, path)
    assert word in str(caught.value)


def test_driver_integers_become_plain() -> None:
    class Int64(int):
        pass

    found = fill({"a": "{{ input.big }}"}, {"input": {"big": {"n": [Int64(2**40)]}}})

    assert found == {"a": {"n": [2**40]}}
    assert type(found["a"]["n"][0]) is int  # type: ignore[index, call-overload]


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), float("nan"), 2**63, {1: 2}, "\ud800"])
def test_value_that_is_no_json_is_an_error(value: object) -> None:
    with pytest.raises(FillError):
        fill("{{ input.x }}", {"input": {"x": value}})


def test_many_short_references_cannot_grow_beyond_the_cap() -> None:
    scope = {"input": {"long": "x" * 200_000}}

    assert len(str(fill("{{ input.long }}", scope))) == 200_000
    many = "{{ input.long }}"
    for value in (many * 100_000, [many] * 100_000, {"a": {"$ref": "input.long"}, "b": many}):
        with pytest.raises(FillError, match="256 KiB"):
            fill(value, scope)


def test_depth_is_capped_in_sum() -> None:
    deep: Any = 1
    for _ in range(12):
        deep = [deep]
    outer: Any = "{{ input.deep }}"
    for _ in range(7):
        outer = [outer]

    assert fill(outer, {"input": {"deep": deep}})
    with pytest.raises(FillError, match="20 levels"):
        fill([outer], {"input": {"deep": deep}})


def test_literal_inputs_are_filled_by_objects_alone() -> None:
    inputs = {
        "template": "{{ input.topic }} {% if x %}",
        "parts": [{"$ref": "input.count"}],
        "run": [{"in": {"a": {"$ref": "item.x"}}}],
        "text": "{{ input.topic }}",
    }

    filled = fill_inputs(inputs, SCOPE, literal={"template", "parts"}, nested={"run"})

    assert filled == inputs | {"parts": [3], "text": "tides"}


@given(WRITTEN)
def test_filling_raises_fill_errors_alone(value: Any) -> None:
    try:
        filled = fill(value, SCOPE)
    except FillError:
        return
    assert len(json.dumps(filled)) <= MAX_FILLED_BYTES * 6
    assert "wf_1" not in json.dumps(filled)


@given(JSON)
def test_value_without_references_stays(value: Any) -> None:
    try:
        filled = fill(value, SCOPE)
    except FillError:
        return
    if not any(references_in(value)):
        assert json.dumps(filled) == json.dumps(value).replace("\\\\{{", "{{")


@given(JSON)
def test_one_reference_gives_the_very_value(value: Any) -> None:
    try:
        filled = fill("{{ input.x }}", {"input": {"x": value}})
    except FillError:
        return
    assert json.dumps(filled) == json.dumps(value)


@given(st.dictionaries(st.sampled_from("abc"), WRITTEN, max_size=3), st.sets(st.sampled_from("abc")))
def test_filling_again_gives_the_same(inputs: dict[str, Any], literal: set[str]) -> None:
    try:
        first = fill_inputs(inputs, SCOPE, literal=literal, nested={"c"})
    except FillError:
        return

    again = fill_inputs(inputs, SCOPE, literal=literal, nested={"c"}, again=True)

    assert repr(again) == repr(first)


def test_filling_again_gives_new_containers() -> None:
    given_list = fill_inputs({"a": "{{ input.list }}"}, SCOPE, again=True)["a"]

    assert given_list == SCOPE["input"]["list"]
    assert given_list is not SCOPE["input"]["list"]
