from __future__ import annotations

from typing import Any

import pytest

from appserver.payloads import MAX_DEPTH, MAX_ERRORS, payload_errors

ANYTHING: dict[str, Any] = {"type": "object"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["operation", "script"],
    "properties": {
        "operation": {"const": "script2video"},
        "script": {"type": "string", "minLength": 1, "maxLength": 5},
        "title": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
        "scenes": {"type": "array", "items": {"type": "object", "properties": {"seed": {"type": "integer"}}}},
        "pace": {"enum": ["slow", "fast"]},
    },
}
GOOD: dict[str, Any] = {"operation": "script2video", "script": "abc"}


def found(payload: dict[str, Any], schema: dict[str, Any] = ANYTHING) -> list[tuple[str, str]]:
    return [(error.field, error.message) for error in payload_errors(schema, payload)]


def test_what_fits_has_no_errors() -> None:
    assert found(GOOD | {"title": None, "scenes": [{"seed": 1}]}, SCHEMA) == []


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"script": "abcdef"}, "payload.script", "it has 6 characters; at most 5 are allowed"),
        ({"script": ""}, "payload.script", "it has 0 characters; at least 1 are needed"),
        ({"script": 3}, "payload.script", "3 is not of type 'string'"),
        ({"title": "abcd"}, "payload.title", "it has 4 characters; at most 3 are allowed"),
        ({"scenes": [{"seed": 1}, {"seed": "x"}]}, "payload.scenes.1.seed", "'x' is not of type 'integer'"),
        ({"pace": "medium"}, "payload.pace", "it must be one of ['slow', 'fast']"),
        ({"operation": "x"}, "payload.operation", "it must be 'script2video'"),
        ({"nope": 1}, "payload", "Additional properties are not allowed ('nope' was unexpected)"),
    ],
)
def test_an_error_names_the_path_and_the_reason(changes: dict[str, Any], field: str, message: str) -> None:
    assert found(GOOD | changes, SCHEMA) == [(field, message)]


def test_every_missing_field_is_named() -> None:
    assert found({}, SCHEMA) == [("payload.operation", "it is missing"), ("payload.script", "it is missing")]


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"a": "\ud800"}, "payload.a"),
        ({"a": [1, {"b": "x\udfff"}]}, "payload.a.1.b"),
        ({"a": {"\ud800": 1}}, "payload.a"),
        ({"a\0": 1}, "payload"),
        ({"a": float("nan")}, "payload.a"),
        ({"a": [float("inf")]}, "payload.a.0"),
        ({"a": 2**63}, "payload.a"),
        ({"a": -(2**63) - 1}, "payload.a"),
    ],
)
def test_what_cannot_be_stored_is_named(payload: dict[str, Any], field: str) -> None:
    assert [name for name, _ in found(payload)] == [field]


@pytest.mark.parametrize("value", ["a\0b", "👩‍👩‍👧", {"$gt": ""}, 2**63 - 1, -(2**63), True, None, 0.1])
def test_odd_but_storable_values_pass(value: Any) -> None:
    assert found({"a": value}) == []


def test_depth_is_limited() -> None:
    def nested(levels: int) -> dict[str, Any]:
        payload: dict[str, Any] = {}
        for _ in range(levels - 1):
            payload = {"a": payload}
        return payload

    assert found(nested(MAX_DEPTH)) == []
    assert found(nested(MAX_DEPTH + 1)) == [("payload.a.a", f"it is nested more than {MAX_DEPTH} levels deep")]


def test_the_number_and_the_length_of_errors_are_limited() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}

    errors = found({f"f{n}": "x" * 10_000 for n in range(100)}, schema)

    assert len(errors) == MAX_ERRORS
    assert all(len(message) <= 201 for _, message in errors)


def test_a_reference_in_a_schema_is_never_fetched() -> None:
    with pytest.raises(Exception, match=r"elsewhere\.example"):
        payload_errors({"$ref": "https://elsewhere.example/schema.json"}, {})
