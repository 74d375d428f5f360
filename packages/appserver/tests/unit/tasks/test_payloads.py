from __future__ import annotations

import time
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from annotated_types import MultipleOf
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from appserver.tasks.payloads import MAX_SEARCHED, payload_errors
from appserver.values.storable import MAX_DEPTH, MAX_ERRORS, MAX_VALUES

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


def test_valid_payload_has_no_errors() -> None:
    assert found(GOOD | {"title": None, "scenes": [{"seed": 1}]}, SCHEMA) == []


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"script": "abcdef"}, "payload.script", "it has 6 characters; at most 5 are allowed"),
        ({"script": ""}, "payload.script", "it has 0 characters; at least 1 are needed"),
        ({"script": 3}, "payload.script", '3 is not of type "string"'),
        ({"title": "abcd"}, "payload.title", "it has 4 characters; at most 3 are allowed"),
        ({"scenes": [{"seed": 1}, {"seed": "x"}]}, "payload.scenes.1.seed", '"x" is not of type "integer"'),
        ({"pace": "medium"}, "payload.pace", "it must be one of ['slow', 'fast']"),
        ({"operation": "x"}, "payload.operation", "it must be 'script2video'"),
        ({"nope": 1}, "payload", "Additional properties are not allowed ('nope' was unexpected)"),
    ],
)
def test_error_names_path_and_reason(changes: dict[str, Any], field: str, message: str) -> None:
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
def test_unstorable_value_is_named(payload: dict[str, Any], field: str) -> None:
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


def test_errors_are_limited_in_number_and_length() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}}

    errors = found({f"f{n}": "x" * 10_000 for n in range(100)}, schema)

    assert len(errors) == MAX_ERRORS
    assert all(len(message) <= 201 for _, message in errors)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://elsewhere.example/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"$ref": "#/$defs/Missing"}}},
        {"type": "strin"},
        {"properties": {"a": {"pattern": 3}}},
    ],
)
def test_unreadable_schema_leaves_all_to_worker(schema: dict[str, Any]) -> None:
    assert found({"a": "b"}, schema) == []


def test_many_small_items_are_judged_quickly() -> None:
    item = {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "object", "properties": {"a": {"type": "integer"}}}]}
    schema = {"properties": {"items": {"anyOf": [{"type": "array", "items": item}, {"type": "null"}]}}}
    began = time.process_time()

    assert found({"items": [{"a": 1}] * 20_000}, schema) == []
    assert [field for field, _ in found({"items": [{"a": "x"}] * 20_000}, schema)] == ["payload"]
    assert found({"items": [0] * 500_000}) == [
        ("payload", f"it has more than {MAX_VALUES:,} values; give less, or large things as text")
    ]
    few = found({"items": [{"a": "x"}] * (MAX_SEARCHED // 2 - 1)}, schema)
    assert [field for field, _ in few] == [f"payload.items.{index}.a" for index in range(MAX_ERRORS)]
    # An engine in Python took 11 s for one of them.
    assert time.process_time() - began < 2


class Fields(BaseModel):
    """One field for each keyword that engines of JSON Schema read in other ways than pydantic."""

    letters: str = Field("a", pattern=r"^\p{L}+$")
    lower: str = Field("a", pattern=r"^[a-z]+$")
    words: str = Field("a", pattern=r"^\w+$")
    digits: str = Field("1", pattern=r"^\d+$")
    spaced: str = Field(" ", pattern=r"\s")
    price: float = Field(0, multiple_of=0.01)
    decimal: Annotated[Decimal, MultipleOf(Decimal("0.1"))] = Decimal(0)
    step: int = Field(0, multiple_of=7)
    chosen: set[int] = set()
    by_name: dict[Annotated[str, Field(pattern="^[a-z]+$")], int] = {}
    when: datetime | None = None
    one_of: Annotated[Circle | Square, Field(discriminator="kind")] | None = None
    pair: tuple[int, str] = (0, "")


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float


class Square(BaseModel):
    kind: Literal["square"]
    tags: set[str] = set()


Fields.model_rebuild()
FIELDS_SCHEMA = Fields.model_json_schema()


def accepted(payload: dict[str, Any]) -> tuple[bool, bool]:
    """Return whether the host accepts *payload*, and whether the worker's model does."""
    try:
        Fields.model_validate(payload)
    except ValidationError:
        return found(payload, FIELDS_SCHEMA) == [], False
    return found(payload, FIELDS_SCHEMA) == [], True


@pytest.mark.parametrize(
    ("field", "value", "fits"),
    [
        ("letters", "Zoë", True),
        ("letters", "Zoë1", False),
        ("lower", "a", True),
        ("lower", "a\n", False),
        ("words", "ë", True),
        ("words", "e!", False),
        ("digits", "٣", True),
        ("spaced", "a\u00a0b", True),
        ("price", 19.99, True),
        ("price", 0.07, True),
        ("price", 19.995, False),
        ("price", 3, True),
        ("decimal", 0.3, True),
        ("decimal", 1e15, True),
        ("step", 7 * 2**50, True),
        ("step", 7 * 2**50 + 1, False),
        ("chosen", [1, 1], True),
        ("chosen", ["x"], False),
        ("one_of", {"kind": "square", "tags": ["a", "a"]}, True),
        ("one_of", {"kind": "square", "tags": [1]}, False),
        ("one_of", {"kind": "circle"}, False),
        ("pair", [1, "x"], True),
        ("pair", [1], False),
    ],
)
def test_host_judges_payload_as_workers_model(field: str, value: object, fits: bool) -> None:
    assert accepted({field: value}) == (fits, fits)


@pytest.mark.parametrize(("field", "value"), [("by_name", {"A": 1}), ("when", "yesterday"), ("decimal", 6.5e-249)])
def test_unjudgeable_keyword_is_left_to_worker(field: str, value: object) -> None:
    assert accepted({field: value}) == (True, False)


TEXTS = st.text(st.sampled_from("aZë٣3_ \n\t\u00a0\u2028-é"), max_size=4)
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53),
    st.floats(-1e6, 1e6),
    st.integers(-(10**6), 10**6).map(lambda hundredths: hundredths / 100),
)


@given(
    payload=st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("letters", "lower", "words", "digits", "spaced"), TEXTS),
            "price": NUMBERS,
            "step": st.integers(-(2**62), 2**62),
            "chosen": st.lists(st.integers(0, 3), max_size=4),
        },
    )
)
def test_host_accepts_exactly_what_model_accepts(payload: dict[str, Any]) -> None:
    host, worker = accepted(payload)

    assert host == worker


@given(NUMBERS)
def test_host_refuses_no_decimal_of_model(number: float) -> None:
    """A fraction far below the step is none to JSON Schema's reader, and one too many to a decimal: the worker says."""
    host, worker = accepted({"decimal": number})

    assert host or not worker
