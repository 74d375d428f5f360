from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from appserver.values.conditions import AllOf, AnyOf, Comparison, Condition, Not, holds, same

ADAPTER: TypeAdapter[Condition] = TypeAdapter(Condition)
SCOPE: dict[str, Any] = {
    "input": {"kind": "film", "count": 3, "tags": ["a", "b"], "none": None, "yes": True, "deep": {"x": [1, {"y": 2.0}]}}
}
OPERATORS = st.sampled_from(["eq", "ne", "in", "exists", "lt", "le", "gt", "ge"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.sampled_from(
    ["input.kind", "input.count", "input.tags.0", "input.none", "input.nope", "x", "input.deep.x.1.y"]
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    st.builds(Comparison, path=PATHS, op=OPERATORS, value=JSON),
    lambda inner: (
        st.builds(AllOf, all=st.lists(inner, max_size=3).map(tuple))
        | st.builds(AnyOf, any=st.lists(inner, max_size=3).map(tuple))
        | st.builds(Not, **{"not": inner})
    ),
    max_leaves=6,
)


def asked(path: str, op: str, value: Any = None) -> bool:
    return holds(ADAPTER.validate_python({"path": path, "op": op, "value": value}), SCOPE)


@pytest.mark.parametrize(
    ("path", "op", "value"),
    [
        ("input.kind", "eq", "film"),
        ("input.kind", "ne", "text"),
        ("input.kind", "in", ["text", "film"]),
        ("input.kind", "lt", "g"),
        ("input.count", "eq", 3.0),
        ("input.count", "ge", 3),
        ("input.count", "gt", 2.5),
        ("input.tags", "eq", ["a", "b"]),
        ("input.tags.1", "eq", "b"),
        ("input.none", "eq", None),
        ("input.none", "exists", None),
        ("input.nope", "ne", None),
        ("input.deep", "eq", {"x": [1.0, {"y": 2}]}),
    ],
)
def test_comparison_holds_by_json_value(path: str, op: str, value: Any) -> None:
    assert asked(path, op, value)


@pytest.mark.parametrize(
    ("path", "op", "value"),
    [
        ("input.yes", "eq", 1),
        ("input.count", "eq", "3"),
        ("input.count", "lt", "4"),
        ("input.count", "lt", None),
        ("input.yes", "lt", 2),
        ("input.nope", "eq", None),
        ("input.nope", "exists", None),
        ("input.nope", "lt", 3),
        ("input.tags.2", "exists", None),
        ("input.tags.-1", "exists", None),
        ("input.kind", "in", "a film"),
        ("input.deep", "eq", {"x": [1]}),
        ("input.__class__", "exists", None),
    ],
)
def test_comparison_of_other_types_never_holds(path: str, op: str, value: Any) -> None:
    assert not asked(path, op, value)


def test_parts_are_joined_as_logic_says() -> None:
    yes, no = {"path": "input.count", "op": "eq", "value": 3}, {"path": "input.count", "op": "eq", "value": 4}

    def told(condition: dict[str, Any]) -> bool:
        return holds(ADAPTER.validate_json(json.dumps(condition)), SCOPE)

    assert told({"all": [yes, {"not": no}]})
    assert told({"any": [no, yes]})
    assert not told({"all": [yes, no]})
    assert told({"all": []})
    assert not told({"any": []})


@given(CONDITIONS, st.dictionaries(st.just("input"), JSON, max_size=1))
def test_condition_never_raises(condition: Condition, scope: dict[str, Any]) -> None:
    assert holds(condition, scope) is not holds(Not.model_validate({"not": condition}), scope)


@given(JSON, JSON)
def test_equality_is_symmetric(left: Any, right: Any) -> None:
    assert same(left, right) == same(right, left)


def test_error_names_one_form_of_condition() -> None:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_json('{"all": [{"path": "input.x", "op": "equals"}, {"value": 3}]}')

    assert [error["loc"][-1] for error in caught.value.errors()] == ["op", 1]
