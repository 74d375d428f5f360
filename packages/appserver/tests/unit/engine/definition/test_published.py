from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from appserver import workflows
from appserver.engine.definition.parsing import check_definition
from appserver.engine.definition.published import definition_schema
from appserver.modules.builtin import host_registry
from appsupport.workflows.small_modules import definition, module, small_registry

SMALL = small_registry()
WORKFLOWS = sorted(file.name for file in files(workflows).iterdir() if file.name.endswith(".json"))
SCHEMA = definition_schema(SMALL)


def fits(*modules: dict[str, Any], **rest: Any) -> bool:
    return Draft202012Validator(SCHEMA, offline=True).is_valid(definition(*modules, **rest))


def test_every_example_of_a_shipped_module_fits() -> None:
    registry = host_registry()
    validator = Draft202012Validator(definition_schema(registry), offline=True)

    for each in registry:
        validator.validate(definition(module("m", each.type, inputs=dict(each.example))))


@pytest.mark.parametrize(
    "inputs",
    [
        {"title": "{{ input.title }}", "scenes": "{{ modules.a.scenes }}"},
        {"title": {"$ref": "input.title", "default": "x"}},
        {"scenes": [{"text": "{{ item.text }}", "seconds": {"$ref": "input.seconds"}}, "{{ modules.a.b }}"]},
        {"anything": {"deep": [{"$ref": "input.x"}]}},
    ],
)
def test_reference_fits_in_each_place(inputs: dict[str, Any]) -> None:
    assert fits(module("m", "give.scenes@1", inputs=inputs))


@pytest.mark.parametrize(
    "bad",
    [
        module("M"),
        module("m", inputs={"value": "three"}),
        module("m", inputs={"valu": 3}),
        module("m", inputs={"value": {"$ref": "input.x", "else": 3}}),
        module("m", "give.scenes@1", inputs={"scenes": [{"text": 3}]}),
        module("m", "do.each@1"),
        module("m", "do.each@1", inputs={"items": [], "run": [{"id": "x"}]}),
        module("m", "give.template@1", inputs={"template": 3}),
        module("m", if_={"path": "input.x", "op": "=="}),
        module("m", more=1),
    ],
)
def test_closed_schema_refuses_what_a_module_does_not_take(bad: dict[str, Any]) -> None:
    assert not fits(bad)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_shipped_workflow_fits_and_has_no_problems(name: str) -> None:
    registry = host_registry()
    raw = files(workflows).joinpath(name).read_bytes()

    Draft202012Validator(definition_schema(registry), offline=True).validate(json.loads(raw))
    assert check_definition(raw, registry).problems == ()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_misspelt_reference_of_a_shipped_workflow_is_found(name: str) -> None:
    text = files(workflows).joinpath(name).read_text(encoding="utf-8")
    heads = sorted(set(re.findall(r"\b(?:modules|state|input)\.[a-z_]+", text)))

    assert heads
    for head in heads:
        assert check_definition(re.sub(rf"\b{re.escape(head)}\b", f"{head}x", text).encode(), host_registry()).refused


def test_schema_is_the_same_each_time() -> None:
    assert json.dumps(SCHEMA) == json.dumps(definition_schema(small_registry()))
