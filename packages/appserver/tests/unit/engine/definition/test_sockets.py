from __future__ import annotations

from typing import Any

import pytest

from appserver.engine.definition.sockets import misfit
from appserver.engine.definition.subschemas import ABSENT, SchemaView

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
WHOLE = {"type": "integer"}
MAYBE_TEXT = {"anyOf": [TEXT, {"type": "null"}]}


def of(properties: dict[str, Any], *required: str, closed: bool = False) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return schema | ({"additionalProperties": False} if closed else {})


def items(schema: Any) -> dict[str, Any]:
    return {"type": "array", "items": schema}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, TEXT),
        (TEXT, {}),
        (TEXT, TEXT),
        (WHOLE, NUMBER),
        (NUMBER, WHOLE),
        (MAYBE_TEXT, TEXT),
        (TEXT, MAYBE_TEXT),
        ({"type": ["string", "null"]}, TEXT),
        ({"enum": ["a", "b"]}, {"enum": ["b", "c"]}),
        ({"enum": ["a", 3]}, TEXT),
        (of({"a": TEXT}), of({"a": TEXT}, "a")),
        (of({}), of({"a": TEXT}, "a")),
        (of({"a": WHOLE}), of({"a": TEXT})),
        (items(TEXT), items({})),
        (items(TEXT), {"type": "array"}),
        ({"$ref": "#/nowhere"}, TEXT),
        ({"type": 3}, TEXT),
        ({"not": TEXT}, TEXT),
    ],
)
def test_what_may_fit_is_no_complaint(given: Any, wanted: Any) -> None:
    assert misfit(SchemaView(given), SchemaView(wanted)) is None


@pytest.mark.parametrize(
    ("given", "wanted", "words"),
    [
        (TEXT, WHOLE, "it is a text, where a whole number is wanted"),
        (MAYBE_TEXT, NUMBER, "it is null or a text, where a number is wanted"),
        (NUMBER, MAYBE_TEXT, "it is a number, where null or a text is wanted"),
        ({"const": True}, WHOLE, "it is true or false"),
        ({"const": "a"}, {"enum": ["b", "c"]}, "it is one of ['a']"),
        (items(TEXT), items(NUMBER), "its items: it is a text"),
        (of({}, closed=True), of({"a": TEXT}, "a"), "it has no 'a'"),
        (of({"a": TEXT}, "a"), of({}, closed=True), "it has 'a', which is not taken"),
        (of({"a": of({"b": TEXT}, "b")}, "a"), of({"a": of({"b": WHOLE})}), "its a: its b: it is a text"),
        ({"$ref": "#/$defs/x", "$defs": {"x": TEXT}}, WHOLE, "it is a text"),
    ],
)
def test_what_cannot_fit_is_told(given: Any, wanted: Any, words: str) -> None:
    assert words in str(misfit(SchemaView(given), SchemaView(wanted)))


def doubling(levels: int) -> dict[str, Any]:
    parts = {f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(levels)}
    return {"$defs": {**parts, f"a{levels}": items({"$ref": "#/$defs/a0"})}, "$ref": "#/$defs/a0"}


def test_doubling_references_are_given_up() -> None:
    view = SchemaView(doubling(30))

    assert misfit(view, view) is None
    assert view.at(["0"]) is None
    assert SchemaView({"$ref": "#"}).options() is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (["a"], TEXT),
        (["list", "0"], WHOLE),
        (["pair", "1"], NUMBER),
        (["maybe", "x"], TEXT),
        (["rest", "any"], None),
    ],
)
def test_path_leads_to_its_subschema(path: list[str], found: Any) -> None:
    schema = of(
        {
            "a": TEXT,
            "list": items(WHOLE),
            "pair": {"type": "array", "prefixItems": [TEXT, NUMBER], "items": False},
            "maybe": {"anyOf": [of({"x": TEXT}, closed=True), {"type": "null"}]},
            "rest": {"type": "object"},
        },
        closed=True,
    )

    view = SchemaView(schema).at(path)

    assert (view.part if isinstance(view, SchemaView) else view) == found
    for absent in (["b"], ["a", "x"], ["list", "x"], ["pair", "2"], ["maybe", "y"]):
        assert SchemaView(schema).at(absent) is ABSENT
