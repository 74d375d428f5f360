"""JSON Schemas of users: what they may ask for, and what they cost."""

from __future__ import annotations

from typing import Any

import pytest

from appserver.modules.json_schemas import misfits, schema_problems
from appsupport.computing import least_seconds
from appsupport.modules import MODULES


def doubling(levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$defs": {**definitions, f"a{levels}": {"type": "string"}}, "$ref": "#/$defs/a0"}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        doubling(14),
        doubling(40),
        nested(200),
        {"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"},
        {"$ref": "#"},
        {"$ref": "http://example.com/schema"},
        {"$ref": "file:///etc/hostname"},
        {"$ref": "#/$defs/missing"},
        {"properties": {"a": {"$id": "urn:inner"}}},
        {"$dynamicRef": "#a"},
        {"type": "objct"},
        {"properties": {"a": {"pattern": "^(?=a)b"}}},
        {"pattern": "(a{1000}){1000}"},
        {"description": "x" * 70_000},
    ],
)
def test_hostile_schema_is_refused_at_once(schema: dict[str, Any]) -> None:
    (problems, found), seconds = least_seconds(lambda: (schema_problems(schema), misfits(schema, "x")))

    assert problems
    assert problems[0].message
    assert found
    assert seconds < 0.2


def test_property_named_like_keyword_is_fine() -> None:
    schema = {"type": "object", "properties": {"$id": {"type": "string"}, "$ref": {"$ref": "#/$defs/a"}}}

    assert schema_problems({**schema, "$defs": {"a": {"type": "integer"}}}) == ()


def test_each_misfit_has_its_pointer() -> None:
    schema = {
        "type": "object",
        "properties": {"a/b": {"type": "integer"}, "list": {"items": {"maxLength": 2}}},
        "required": ["missing"],
    }
    found = {problem.pointer: problem.message for problem in misfits(schema, {"a/b": "x", "list": ["ok", "long"]})}

    assert found.keys() == {"/a~1b", "/list/1", "/missing"}
    assert found["/missing"] == "it is missing"


def test_misfits_are_at_most_twenty() -> None:
    assert len(misfits({"items": {"type": "string"}}, list(range(500)))) == 20


def test_costly_value_is_refused_unchecked() -> None:
    schema = {"items": {"anyOf": [{"type": "string"}] * 100}}
    found, seconds = least_seconds(lambda: misfits(schema, [0] * 40_000))

    assert "too large" in found[0].message
    assert seconds < 0.5


@pytest.mark.parametrize("type_", ["user.form@1", "llm.call@1"])
def test_outputs_are_as_narrow_as_their_schema(type_: str) -> None:
    module, name = MODULES[type_], {"user.form@1": "answer", "llm.call@1": "value"}[type_]
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    wide = module.Outputs.model_json_schema()

    assert module.output_schema({"schema": schema})["properties"][name] == schema
    assert module.output_schema({"schema": {"title": "{{ a }}", **schema}}) == wide
    assert module.output_schema({"schema": {"$ref": "#/$defs/a", "$defs": {"a": schema}}}) == wide
    assert module.output_schema({"schema": {"$ref": "input.schema"}}) == wide
    assert module.output_schema({}) == wide
