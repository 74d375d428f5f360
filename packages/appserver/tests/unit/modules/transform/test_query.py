"""``transform.query``: what it gives, and what it refuses to work at."""

from __future__ import annotations

from typing import Any

import pytest

from appsupport.computing import least_seconds
from appsupport.modules import MODULES, failure, outputs

VALUE = {"scenes": [{"text": "a", "seconds": 4}, {"text": "b", "seconds": 2}]}


class Integer(int):
    """An integer as the database gives it: of a type of its own."""


def test_result_is_given() -> None:
    assert outputs("transform.query@1", {"value": VALUE, "expression": "scenes[?seconds > `3`].text"})["result"] == [
        "a"
    ]


def test_integers_of_database_are_numbers() -> None:
    value = {"sizes": [Integer(2**40), Integer(5)]}
    result = outputs("transform.query@1", {"value": value, "expression": "[sum(sizes), max(sizes)]"})["result"]

    assert result == [2**40 + 5, 2**40]
    assert {type(one) for one in result} == {int}


@pytest.mark.parametrize(
    "expression",
    [
        "|".join(["[@,@][]"] * 100),
        "|".join(["[@,@]"] * 150) + "|to_string(@)",
        "|".join(["{a:@,b:@}"] * 90),
        "|".join(["[@,@]"] * 60) + "|[@ == @]",
        "join(big, many)",
        "many[].[" + ",".join(["@"] * 400) + "]",
        "sort_by(many, &length(to_string([@,@,@,@])))|[@,@]|[@,@][]",
        "many[*]|" + "|".join(["map(&[@,@], @)"] * 50),
        "(" * 500 + "a" + ")" * 500,
        "!" * 1_000 + "a",
        "ceil(to_number('inf'))",
        "to_number('nan')",
        "to_number('1e999')",
        "`1e999`",
        "&a",
        "[&a]",
        "sort(many2)",
        "many[?",
        "max_by(many, &@) | abs(@)",
        "nothing(@)",
        "`99999999999999999999`",
    ],
)
def test_hostile_expression_fails_in_time(expression: str) -> None:
    value: dict[str, Any] = {"many": [""] * 3_000, "big": "x" * 60_000, "many2": [1, "a", None]}
    problem, seconds = least_seconds(lambda: failure("transform.query@1", {"value": value, "expression": expression}))

    assert problem.message
    assert seconds < 0.2


def test_expression_is_read_when_stored() -> None:
    assert [one.pointer for one in MODULES["transform.query@1"].check_inputs({"expression": "a[?"})] == ["/expression"]
    assert not MODULES["transform.query@1"].check_inputs({"expression": {"$ref": "input.expression"}})
