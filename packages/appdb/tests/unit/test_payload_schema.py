"""Payload schemas: keywords that hosts judge, keywords left to the worker, and schemas that no host can read."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from appdb import InvalidDataError
from appdb.host import judged
from appdb.models import AnnouncedActor

PLAIN: dict[str, Any] = {
    "$defs": {"Item": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}},
    "type": "object",
    "required": ["items"],
    "additionalProperties": False,
    "properties": {
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "maxItems": 9},
        "name": {"type": ["string", "null"], "pattern": r"^\p{L}+$", "maxLength": 40},
        "pair": {"prefixItems": [{"const": 1}, {"enum": ["a", None]}]},
        "price": {"anyOf": [{"type": "number", "multipleOf": 0.01}, {"type": "string"}]},
        "any": True,
    },
}


def actor(schema: dict[str, Any]) -> AnnouncedActor:
    return AnnouncedActor(
        name="greet",
        version=1,
        queue="q",
        description="d",
        payload_schema=schema,
        max_attempts=1,
        timeout_seconds=1.0,
    )


def test_model_schemas_are_judged_unchanged() -> None:
    found = judged(PLAIN)

    assert (found.schema, found.left_to_worker) == (PLAIN, ())


def test_annotations_are_not_judged() -> None:
    notes = {
        "title": "T",
        "description": "d",
        "default": {"type": "strin"},
        "format": "date",
        "x-mine": [1],
        "$id": "https://x/y",
    }

    assert judged({**PLAIN, **notes}).schema == PLAIN


@pytest.mark.parametrize(
    ("schema", "kept", "left"),
    [
        ({"uniqueItems": True, "type": "array"}, {"type": "array"}, ["uniqueItems"]),
        ({"not": {"type": "null"}, "minLength": 1}, {"minLength": 1}, ["not"]),
        ({"patternProperties": {"^a": {}}, "additionalProperties": False}, {}, ["patternProperties"]),
        ({"pattern": "(?=a)b", "maxLength": 3}, {"maxLength": 3}, ["pattern (error: look-around"]),
        ({"pattern": "(", "maxLength": 3}, {"maxLength": 3}, ["pattern (error: unclosed group)"]),
        ({"oneOf": [{"type": "null"}, {"not": {}}]}, {"allOf": [{"anyOf": [{"type": "null"}, {}]}]}, ["oneOf.1.not"]),
        ({"properties": {"not": {"if": {}}}}, {"properties": {"not": {}}}, ["properties.not.if"]),
    ],
)
def test_engine_specific_keywords_are_left_to_worker(
    schema: dict[str, Any], kept: dict[str, Any], left: list[str]
) -> None:
    found = judged(schema)

    assert found.schema == kept
    assert len(found.left_to_worker) == len(left)
    assert all(place.startswith(expected) for place, expected in zip(found.left_to_worker, left, strict=True))


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "strin"}, "payload_schema.type"),
        ({"properties": {"a": {"minLength": "x"}}}, "payload_schema.properties.a.minLength"),
        ({"properties": []}, "payload_schema.properties"),
        ({"properties": {"a": 3}}, "payload_schema.properties.a"),
        ({"items": "x"}, "payload_schema.items"),
        ({"anyOf": []}, "payload_schema.anyOf"),
        ({"multipleOf": 0}, "payload_schema.multipleOf"),
        ({"maxLength": -1}, "payload_schema.maxLength"),
        ({"required": "a"}, "payload_schema.required"),
        ({"pattern": 3}, "payload_schema.pattern"),
        ({"$ref": "https://elsewhere.example/schema"}, "payload_schema.$ref"),
        ({"items": {"$ref": "#/$defs/Missing"}}, "payload_schema.items.$ref"),
        ({"$ref": "#/title", "title": "x"}, "payload_schema.$ref"),
    ],
)
def test_unreadable_schema_is_refused_at_announcement(schema: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidDataError) as refusal:
        actor(schema)

    assert refusal.value.field == f"actor 'greet': {place}"


def test_self_reference_is_read() -> None:
    tree = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#/properties/left"}}}

    assert judged(tree).schema == tree


class Model(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")

    name: str = Field(pattern=r"^(?!x)\w+$")
    tags: set[str] = set()


def test_other_engines_schema_is_announced_with_remarks() -> None:
    left = actor(Model.model_json_schema()).left_to_worker

    assert [place.partition(" ")[0] for place in left] == ["properties.name.pattern", "properties.tags.uniqueItems"]
