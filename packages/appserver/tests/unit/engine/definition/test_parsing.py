from __future__ import annotations

import json
from typing import Any

import pytest

from appserver.engine.definition.parsing import (
    check_definition,
    check_definition_aside,
    parse_definition,
    stored_definition,
)
from appserver.errors import DefinitionError
from appserver.modules.builtin import host_registry
from appserver.modules.registry import AnyModule
from appsupport.workflows.small_modules import definition, module, small_registry

REGISTRY = small_registry()
INPUT = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "t": {"type": "string"}},
    "additionalProperties": False,
}
MAYBE = module("n", if_={"path": "input.n", "op": "gt", "value": 3}, out={"x": "number"})


def scenes(name: str = "s", **inputs: Any) -> dict[str, Any]:
    return module(name, "give.scenes@1", inputs=inputs)


def codes(*modules: dict[str, Any], **rest: Any) -> list[str]:
    return [problem.code for problem in check_definition(definition(*modules, **rest), REGISTRY).problems]


@pytest.mark.parametrize(
    "modules",
    [
        (module("n", inputs={"value": "{{ input.n }}"}), scenes(title="{{ modules.n.number }} of {{ input.n }}")),
        (MAYBE, scenes(anything={"$ref": "modules.n.number", "default": 0})),
        (MAYBE, scenes(anything={"$ref": "state.x", "default": None})),
        (MAYBE, scenes(anything="{{ modules.n.number }}") | {"when": {"path": "modules.n.number", "op": "exists"}}),
        (MAYBE, scenes(anything="{{ state.x }}") | {"when": {"path": "state.x", "op": "gt", "value": 1}}),
        (MAYBE, scenes(anything="{{ modules.n.number }}") | {"when": MAYBE["when"]}),
        (MAYBE, module("m", out={"x": "number"}), scenes(anything="{{ state.x }}")),
        (scenes(), scenes("t", scenes="{{ modules.s.scenes }}", mood="{{ modules.s.mood }}")),
        (scenes(), scenes("t", title="{{ modules.s.scenes.3.text }}", anything="{{ modules.s.anything.a.b.0 }}")),
        (
            scenes(
                schema={"$defs": {"a": {"type": "string"}}, "properties": {"b": {"$ref": "#/$defs/a", "default": "x"}}}
            ),
        ),
        (scenes(schema={"enum": "{{ input.t }}"}),),
        (module("t", "give.template@1", inputs={"template": "{{ any.thing | upper }} {% if x %}"}),),
        (module("u", "give.untold@1"), scenes(title="{{ modules.u.anything.at.all }}")),
    ],
)
def test_reference_that_may_hold_is_no_problem(modules: tuple[dict[str, Any], ...]) -> None:
    assert codes(*modules, input=INPUT) == []


@pytest.mark.parametrize(
    "condition",
    [
        {"path": "modules.n.number", "op": "ne", "value": 3},
        {"not": {"path": "modules.n.number", "op": "exists"}},
        {"any": [{"path": "modules.n.number", "op": "exists"}, {"path": "input.n", "op": "exists"}]},
        {"path": "input.n", "op": "gt", "value": 2},
    ],
)
def test_condition_that_promises_nothing_guards_nothing(condition: dict[str, Any]) -> None:
    assert codes(MAYBE, scenes(anything="{{ modules.n.number }}") | {"when": condition}, input=INPUT) == ["not_certain"]


def test_modules_of_a_map_know_item_and_what_ran_before() -> None:
    run = [
        module("a", inputs={"value": "{{ item.n }}"}),
        scenes(title="{{ modules.before.title }} {{ modules.a.number }} {{ index }}", anything="{{ input.n }}"),
    ]
    maps = module("e", "do.each@1", inputs={"items": [1], "run": run})

    assert codes(scenes("before"), maps, scenes("after", anything="{{ modules.e.results.0.a }}"), input=INPUT) == []


def test_input_is_checked_in_a_map_too() -> None:
    maps = module(
        "e", "do.each@1", inputs={"items": [1], "run": [scenes(title="{{ input.n }}", anything="{{ input.q }}")]}
    )

    assert codes(maps, input=INPUT) == ["wrong_type", "unknown_output"]


def test_map_may_hold_one_module_without_a_list() -> None:
    one = module(
        "e", "do.each@1", inputs={"items": [1], "run": {"id": "a", "type": "give.number@1", "in": {"value": "x"}}}
    )

    problems = check_definition(definition(one), REGISTRY).problems

    assert {problem.pointer for problem in problems} == {
        "/steps/0/modules/0/in/run",
        "/steps/0/modules/0/in/run/in/value",
    }


def test_module_of_the_map_hides_an_outer_one() -> None:
    run = [scenes("n"), scenes(title="{{ modules.n.title }}")]

    assert codes(MAYBE, module("e", "do.each@1", inputs={"items": [], "run": run})) == []


def test_lacking_type_is_a_warning_where_asked() -> None:
    written = definition(module("m", "other.thing@1", inputs={"x": 1}), scenes(title="{{ modules.m.y }}"))

    checked = check_definition(written, REGISTRY, lacking="warning")

    assert [(problem.code, problem.severity) for problem in checked.problems] == [("unknown_type", "warning")]
    assert parse_definition(written, REGISTRY, lacking="warning").name == "small"
    assert parse_definition(written).name == "small"
    with pytest.raises(DefinitionError, match=r"other\.thing@1"):
        parse_definition(written, REGISTRY)


def test_nearest_name_is_hinted() -> None:
    written = definition(module("brief"), scenes(anything="{{ modules.breif.number }}"))

    (problem,) = check_definition(written, REGISTRY).problems

    assert problem.hint == "did you mean brief?"


def test_bytes_and_mapping_give_the_same() -> None:
    written = definition(MAYBE, retry={"max_attempts": 2}) | {"nope": 1}

    assert check_definition(written, REGISTRY) == check_definition(json.dumps(written).encode(), REGISTRY)


async def test_check_aside_gives_the_same() -> None:
    written = definition(MAYBE, nope=1)

    assert await check_definition_aside(written, REGISTRY) == check_definition(written, REGISTRY)


def test_stored_definition_comes_back_as_it_was() -> None:
    found = parse_definition(definition(MAYBE, scenes(), output={"x": "{{ modules.s.title }}"}), REGISTRY)

    assert stored_definition(found.as_json()) == found
    with pytest.raises(DefinitionError, match="format"):
        stored_definition({**found.as_json(), "format": 2})


@pytest.mark.parametrize("shipped", list(host_registry()), ids=lambda each: each.type)
def test_example_of_a_shipped_module_has_no_problems(shipped: AnyModule) -> None:
    ways: Any = shipped.example.get("go_back", [])
    earlier = [module(way["module"], "user.pause@1", inputs={"title": "Go on?"}) for way in ways]
    written = definition(*earlier, module("m", shipped.type, inputs=dict(shipped.example)))

    assert check_definition(written, host_registry()).problems == ()
    assert {*shipped.literal, *shipped.nested} <= {
        field.alias or name for name, field in shipped.Inputs.model_fields.items()
    }


@pytest.mark.parametrize(
    ("type_", "inputs", "name"),
    [
        ("transform.query@1", {"value": 1, "expression": "a[?"}, "expression"),
        ("io.render_template@1", {"template": "{% for x in %}"}, "template"),
        ("transform.parse@1", {"text": "x", "pattern": "(?=a)"}, "pattern"),
        ("io.validate@1", {"value": 1, "schema": {"type": "text"}}, "schema/type"),
    ],
)
def test_unreadable_literal_of_a_shipped_module_is_told(type_: str, inputs: dict[str, Any], name: str) -> None:
    (problem,) = check_definition(definition(module("m", type_, inputs=inputs)), host_registry()).problems

    assert problem.pointer == f"/steps/0/modules/0/in/{name}"
