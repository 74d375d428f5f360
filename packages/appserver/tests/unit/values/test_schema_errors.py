from __future__ import annotations

from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from appserver.values.schema_errors import MAX_MESSAGE, told_errors

FORM = {
    "type": "object",
    "properties": {"words": {"type": "integer"}, "tone": {"enum": ["calm", "wild"]}},
    "required": ["words", "tone"],
}
BACK = {"type": "object", "properties": {"back": {"const": "brief"}}, "required": ["back"]}


def told(schema: Any, value: Any, limit: int = 20) -> list[tuple[tuple[str | int, ...], str]]:
    return [
        (error.path, error.message) for error in told_errors(Draft202012Validator(schema).iter_errors(value), limit)
    ]


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_every_error_of_the_fitting_alternative_is_told(keyword: str) -> None:
    assert sorted(told({keyword: [{"type": "null"}, FORM, BACK]}, {"words": "many"})) == [
        (("tone",), "it is missing"),
        (("words",), '"many" is not of type "integer"'),
    ]


def test_value_of_no_alternatives_type_is_told_as_such() -> None:
    ((path, message),) = told({"anyOf": [FORM, BACK]}, 3)

    assert path == ()
    assert "anyOf" in message


def test_alternatives_within_alternatives_are_followed() -> None:
    inner = {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]}

    assert told({"anyOf": [{"type": "array", "items": inner}]}, ["abc"]) == [
        ((0,), "it has 3 characters; at most 2 are allowed")
    ]


def test_errors_are_told_up_to_a_number_and_a_length() -> None:
    long = {"items": {"enum": ["x" * 300]}}

    found = told(long, ["a"] * 50, limit=3)

    assert len(found) == 3
    assert all(len(message) == MAX_MESSAGE + 1 for _, message in found)
