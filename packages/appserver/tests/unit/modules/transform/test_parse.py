"""``transform.parse``: items of a text, types, sums; and patterns that ask for much."""

from __future__ import annotations

from typing import Any

import pytest

from appsupport.computing import least_seconds
from appsupport.modules import failure, outputs

LINE = r"(?P<title>\S+) (?P<seconds>[\d.]+)"


def test_groups_get_their_types() -> None:
    inputs = {
        "text": "tide 4 yes\nkrähe 2 no",
        "pattern": r"(?P<title>\S+) (?P<n>\d+) (?P<on>yes|no)",
        "types": {"n": "integer", "on": "boolean"},
        "lookups": {"title": {"tide": 1, "krähe": {"bird": True}}},
    }

    assert outputs("transform.parse@1", inputs)["items"] == [
        {"title": 1, "n": 4, "on": True},
        {"title": {"bird": True}, "n": 2, "on": False},
    ]


def test_sum_is_exact() -> None:
    found = outputs("transform.parse@1", {"text": "a 0.1 b 0.2", "pattern": LINE, "sum": "seconds"})

    assert (found["count"], found["total"]) == (2, "0.3")


def test_optional_group_is_null() -> None:
    found = outputs("transform.parse@1", {"text": "ab a", "pattern": "a(?P<b>b)?", "types": {"b": "text"}})

    assert found["items"] == [{"b": "b"}, {"b": None}]


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"pattern": "(a"}, "cannot be read"),
        ({"pattern": r"(?=a)b"}, "cannot be read"),
        ({"pattern": r"(a)\1"}, "cannot be read"),
        ({"pattern": "(?:a{1000}){1000}"}, "cannot be read"),
        ({"pattern": "a", "sum": "b"}, "no such groups"),
        ({"pattern": "(?P<x>a)", "types": {"x": "integer"}}, "not of their types"),
        ({"pattern": "(?P<x>a)", "lookups": {"x": {"b": 1}}}, "not of their types"),
        ({"pattern": "z", "min_items": 1}, "at least 1"),
        ({"pattern": "", "text": "a"}, "1 character"),
        ({"pattern": "a?", "text": "b" * 5_000}, "more than"),
    ],
)
def test_wrong_pattern_is_told(inputs: dict[str, Any], told: str) -> None:
    if inputs["pattern"]:
        assert told in failure("transform.parse@1", {"text": "aaaa", **inputs}).message
    else:
        with pytest.raises(ValueError, match=told):
            failure("transform.parse@1", inputs)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)(.*)(.*)(.*)x", "(a?){200}a{200}", "([a-z]+)*[0-9]"])
def test_backtracking_pattern_takes_no_longer(pattern: str) -> None:
    inputs = {"text": "a" * 4_000, "pattern": f"(?P<x>{pattern})"}
    _, seconds = least_seconds(lambda: outputs("transform.parse@1", inputs))

    assert seconds < 0.3
