"""``io`` and ``prompt``: what is checked, written, kept and put together."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from appserver.modules.contract import Done, ErrorCode, Load, LoadFile, LoadKeywords, SaveFile, SaveKeywords
from appsupport.computing import least_seconds
from appsupport.modules import MODULES, decided, failure, outputs, seen

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def test_misfit_stops_run_or_is_told() -> None:
    inputs = {"value": {"n": "x"}, "schema": SCHEMA, "message": "The plan is wrong"}
    problem = failure("io.validate@1", inputs)

    assert (problem.code, problem.message) == (ErrorCode.INVALID_OUTPUT, "The plan is wrong")
    assert problem.problems[0].pointer == "/n"
    assert outputs("io.validate@1", inputs | {"strict": False})["problems"][0]["pointer"] == "/n"


def test_schema_is_judged_when_stored() -> None:
    problems = MODULES["io.validate@1"].check_inputs({"schema": {"properties": {"a": {"type": "objct"}}}})

    assert problems[0].pointer.startswith("/schema/properties/a/type")


def test_template_is_rendered() -> None:
    inputs = {
        "template": "{% for x in list %}{{ loop.index }}={{ x }};{% endfor %}{{ price }}",
        "values": {"list": ["<a>"], "price": "1.10"},
    }

    assert outputs("io.render_template@1", inputs)["rendered"] == "1=<a>;1.10"
    assert outputs("io.render_template@1", inputs | {"html": True})["rendered"] == "1=&lt;a&gt;;1.10"


def test_any_text_is_inserted_as_it_is() -> None:
    text = "%} {{ x }} {# \" \\ ' \n \u2028 \U0001f600 null \x00"
    values = {"x": {"a": [text, None, 1.5, True]}}

    assert outputs("io.render_template@1", {"template": "{{ x.a[0] }}", "values": values})["rendered"] == text
    assert outputs("io.render_template@1", {"template": "{{ x.a[1] is none }}", "values": values})["rendered"] == "True"


@pytest.mark.parametrize(
    "template",
    [
        "{{ missing }}",
        "{{ a.missing }}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% for %}",
        "{{ 'a'.__class__ }}",
        "{{ a.items() }}",
        "{{ list.append(1) }}",
        "{% for i in range(60) %}{{ list.extend(list) }}{% endfor %}",
        "{{ a.fromkeys(list) }}",
        "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 40 + "{{ x|length }}",
        "{{ 'a' * 1000000 }}",
        "{{ 'a' * 100000000000 }}",
        "{{ text|replace('', text)|length }}",
        "{% for i in range(100000) %}{{ text }}{% endfor %}",
        "{% for i in range(90000) %}{% if 'b' in list %}{% endif %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ '%100000000d'|format(1) }}",
        "{{ " + "(" * 4_000 + "1" + ")" * 4_000 + " }}",
        "{{ range(100000000) }}",
    ],
)
def test_hostile_template_fails_in_time(template: str) -> None:
    values = {"text": "x" * 60_000, "list": ["a" * 10] * 5_000, "a": {}}
    problem, seconds = least_seconds(lambda: failure("io.render_template@1", {"template": template, "values": values}))

    assert problem.message
    assert seconds < 0.2


def test_broken_template_is_told_when_stored() -> None:
    assert MODULES["io.render_template@1"].check_inputs({"template": "{% for %}"})[0].pointer == "/template"


def test_file_is_written_with_completion() -> None:
    effect = decided("io.save@1", {"name": "a.json", "content": {"a": 1}})

    assert isinstance(effect, Done)
    assert effect.writes == (SaveFile(name="a.json", content={"a": 1}),)


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".hidden", "a\\b", "a\nb", "x" * 121])
def test_name_of_file_is_no_path(name: str) -> None:
    with pytest.raises(ValidationError):
        decided("io.save@1", {"name": name, "content": 1})


def test_missing_file_is_error_or_default() -> None:
    nothing = seen(loaded={"file": None})

    assert decided("io.load@1", {"name": "a"}) == Load(requests=(LoadFile(key="file", name="a"),))
    assert "no file 'a'" in failure("io.load@1", {"name": "a"}, nothing).message
    assert outputs("io.load@1", {"name": "a", "required": False, "default": 3}, nothing) == {
        "content": 3,
        "found": False,
    }


def test_keywords_grow_and_are_read() -> None:
    effect = decided("io.weighted_keywords@1", {"mode": "save", "keywords": {"sea": 0.5, "crab": 2.0}})
    wanted = decided("io.weighted_keywords@1", {"mode": "load", "category": "c", "limit": 3})

    assert isinstance(effect, Done)
    assert effect.writes == (SaveKeywords(weights={"sea": 0.5, "crab": 2.0}),)
    assert effect.outputs["keywords"][0] == {"keyword": "crab", "weight": 2.0}
    assert wanted == Load(requests=(LoadKeywords(key="keywords", category="c", limit=3),))


def test_chosen_groups_make_prompt() -> None:
    groups = [
        {"id": "camera", "title": "Camera", "instructions": "Move.", "schema": {"type": "string"}},
        {"id": "sound", "instructions": "Hear."},
    ]
    found = outputs("prompt.build@1", {"shared": "Write.", "groups": groups, "chosen": ["sound", "camera"]})

    assert found["prompt"] == "Write.\n\nHear.\n\nCamera\nMove."
    assert found["schema_of_answer"]["required"] == ["camera"]
    assert failure("prompt.build@1", {"groups": groups, "chosen": ["smell"]}).problems[0].pointer == "/chosen/0"
