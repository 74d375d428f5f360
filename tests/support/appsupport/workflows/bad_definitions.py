"""Bad definitions over the small modules, each with its problems; and definitions at a limit, which are taken."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from appserver.engine.definition.model import MAX_DEFINITION_BYTES, MAX_MODULES
from appserver.engine.definition.reading import MAX_VALUES
from appserver.engine.definition.use_check import MAX_REFERENCES
from appsupport.workflows.small_modules import definition, module

ONE = "/steps/0/modules/0"
TWO = "/steps/0/modules/1"
NUMBER = module("n")
MAYBE = module("n", if_={"path": "input.x", "op": "exists"})
OPEN_INPUT = {"type": "object", "properties": {"topic": {"type": "string"}}}
CLOSED_INPUT = {**OPEN_INPUT, "additionalProperties": False}


def nested(levels: int, inner: Any = 1) -> Any:
    """Return *inner* in as many lists."""
    for _ in range(levels):
        inner = [inner]
    return inner


def any_of(value: Any, name: str = "s", **rest: Any) -> dict[str, Any]:
    """Return a module that takes anything."""
    return module(name, "give.scenes@1", inputs={"anything": value}, **rest)


def number(value: Any, name: str = "m", **rest: Any) -> dict[str, Any]:
    """Return a module that takes a number."""
    return module(name, inputs={"value": value}, **rest)


def each(*modules: Any, items: Any = (1,)) -> dict[str, Any]:
    """Return a module that runs others for each item."""
    return module("e", "do.each@1", inputs={"items": list(items), "run": list(modules)})


def when(condition: Any) -> dict[str, Any]:
    """Return a definition whose module has a condition."""
    return module("m", if_=condition)


def only(**fields: Any) -> dict[str, Any]:
    """Return a definition of one module with other fields."""
    return definition(NUMBER, **fields)


Row: TypeAlias = tuple[Any, *tuple[tuple[str, str], ...]]
"""What is written, and the place and code of each of its problems."""
FORM: list[Row] = [
    (b"", ("", "no_json")),
    (b"{", ("", "no_json")),
    (b"\xff\xfe", ("", "no_json")),
    (b"{'name': 1}", ("", "no_json")),
    (b'{"a": NaN}', ("/a", "bad_value"), ("/a", "unknown_field"), ("/name", "missing"), ("/steps", "missing")),
    (b'{"a": 1e999}', ("/a", "bad_value"), ("/a", "unknown_field"), ("/name", "missing"), ("/steps", "missing")),
    (b"[]", ("", "wrong_type")),
    (b"null", ("", "wrong_type")),
    (b'"text"', ("", "wrong_type")),
    (b'{"name": "a", "name": "b", "steps": []}', ("/name", "repeated_key"), ("/steps", "too_few")),
    ({}, ("/name", "missing"), ("/steps", "missing")),
    (only(nam="x"), ("/nam", "unknown_field")),
    (only(name=""), ("/name", "bad_form")),
    (only(name="Has Spaces"), ("/name", "bad_form")),
    (only(name="../../etc/passwd"), ("/name", "bad_form")),
    (only(name="$where"), ("/name", "bad_form")),
    (only(name="x" * 65), ("/name", "bad_form")),
    (only(name=3), ("/name", "wrong_type")),
    (only(format=2), ("/format", "bad_value")),
    (only(format="1"), ("/format", "bad_value")),
    (only(title="x" * 201), ("/title", "too_long")),
    (only(title="\0"), ("/title", "bad_value")),
    (only(title="\ud800"), ("/title", "bad_value")),
    (only(description="x" * 4001), ("/description", "too_long")),
    (only(cost_limit=2.5), ("/cost_limit", "wrong_type")),
    (only(cost_limit="-1"), ("/cost_limit", "bad_form")),
    (only(cost_limit="1e9"), ("/cost_limit", "bad_form")),
    (only(cost_limit="9" * 10), ("/cost_limit", "bad_form")),
    (only(steps={}), ("/steps", "wrong_type")),
    (only(steps=[]), ("/steps", "too_few")),
    (only(steps=[{"id": "a"}]), ("/steps/0/modules", "missing")),
    (only(steps=[{"id": "a", "modules": []}]), ("/steps/0/modules", "too_few")),
    (only(steps=[3]), ("/steps/0", "wrong_type")),
    (definition({"id": "a"}), (f"{ONE}/type", "missing")),
    (definition(module("A")), (f"{ONE}/id", "bad_form")),
    (definition(module("a.b")), (f"{ONE}/id", "bad_form")),
    (definition(module("m", "give.number")), (f"{ONE}/type", "bad_form")),
    (definition(module("m", "give.number@0")), (f"{ONE}/type", "bad_form")),
    (definition(module("m", "os.system('x')@1")), (f"{ONE}/type", "bad_form")),
    (definition(module("m", inputs=[])), (f"{ONE}/in", "wrong_type")),
    (definition(module("m", timeout_seconds=0)), (f"{ONE}/timeout_seconds", "bad_value")),
    (definition(module("m", timeout_seconds="3")), (f"{ONE}/timeout_seconds", "wrong_type")),
    (definition(module("m", retry={"max_attempts": 11})), (f"{ONE}/retry/max_attempts", "bad_value")),
    (definition(module("m", retry={"tries": 2})), (f"{ONE}/retry/tries", "unknown_field")),
    (definition(module("m", retry={"on": ["always"]})), (f"{ONE}/retry/on/0", "bad_value")),
    (definition(module("m", on_error="ignore")), (f"{ONE}/on_error", "bad_value")),
    (definition(module("m", reuse="yes")), (f"{ONE}/reuse", "wrong_type")),
    (definition(module("m", out={"Bad Name": "number"})), (f"{ONE}/out/Bad Name", "bad_form")),
    (definition(module("m", out={"a": "x" * 257})), (f"{ONE}/out/a", "too_long")),
    (definition(any_of(2**53)), (f"{ONE}/in/anything", "bad_value")),
    (definition(any_of(nested(14))), (f"{ONE}/in/anything/0", "too_deep")),
    (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, ("", "too_deep")),
    (b"[" * 100_000, ("", "too_deep")),
    (b" " * (MAX_DEFINITION_BYTES + 1), ("", "too_large")),
    (definition(any_of([0] * MAX_VALUES)), ("", "too_large")),
    (definition(*[module(f"m{i}") for i in range(MAX_MODULES + 1)]), ("/steps", "too_many")),
    (definition(any_of(["{{ run.id }}"] * (MAX_REFERENCES + 1))), ("", "too_many")),
    (definition(module("m", out={f"n{i}": "number" for i in range(101)})), (f"{ONE}/out", "too_many")),
]
CONDITIONS: list[Row] = [
    (definition(when("input.x == 1")), (f"{ONE}/when", "bad_condition")),
    (definition(when({})), (f"{ONE}/when", "bad_condition")),
    (definition(when({"and": []})), (f"{ONE}/when", "bad_condition")),
    (definition(when({"$where": "sleep(1000)"})), (f"{ONE}/when", "bad_condition")),
    (definition(when({"path": "input.x", "op": "$gt"})), (f"{ONE}/when/op", "bad_value")),
    (definition(when({"path": "input.x", "op": "=="})), (f"{ONE}/when/op", "bad_value")),
    (definition(when({"path": "input.x"})), (f"{ONE}/when/op", "missing")),
    (definition(when({"path": "", "op": "exists"})), (f"{ONE}/when/path", "too_short")),
    (definition(when({"path": "x" * 257, "op": "exists"})), (f"{ONE}/when/path", "too_long")),
    (definition(when({"path": "input.x", "op": "in", "value": 3})), (f"{ONE}/when/value", "wrong_type")),
    (definition(when({"path": "input x", "op": "exists"})), (f"{ONE}/when/path", "bad_path")),
    (definition(when({"path": "$where", "op": "exists"})), (f"{ONE}/when/path", "bad_path")),
    (definition(when({"path": "env.HOME", "op": "exists"})), (f"{ONE}/when/path", "unknown_root")),
    (definition(when({"path": "modules.x.y", "op": "exists"})), (f"{ONE}/when/path", "dangling")),
    (definition(when({"path": "modules.m.number", "op": "exists"})), (f"{ONE}/when/path", "cycle")),
    (
        definition(when({"all": [{"not": {"any": [{"path": "a", "op": "is"}, 3]}}]})),
        (f"{ONE}/when/all/0/not/any/0/op", "bad_value"),
        (f"{ONE}/when/all/0/not/any/1", "bad_condition"),
    ),
    (definition(when({"all": {}})), (f"{ONE}/when/all", "wrong_type")),
]
REFERENCES: list[Row] = [
    (definition(any_of("{{ modules.x.y }}")), (f"{ONE}/in/anything", "dangling")),
    (definition(any_of("{{ modules }}")), (f"{ONE}/in/anything", "bad_path")),
    (definition(any_of("{{ input.a b }}")), (f"{ONE}/in/anything", "bad_path")),
    (definition(any_of("{{ input.a")), (f"{ONE}/in/anything", "bad_path")),
    (definition(any_of("{{ ../../etc/passwd }}")), (f"{ONE}/in/anything", "bad_path")),
    (definition(any_of("{{ input.__class__.__mro__[1] }}")), (f"{ONE}/in/anything", "bad_path")),
    (definition(any_of("{{ 7 * 7 }}")), (f"{ONE}/in/anything", "bad_path")),
    (definition(any_of("{% for x in y %}{{ x }}{% endfor %}")), (f"{ONE}/in/anything", "unknown_root")),
    (definition(any_of("{{ secrets.key }}")), (f"{ONE}/in/anything", "unknown_root")),
    (definition(any_of("{{ " + "x" * 257 + " }}")), (f"{ONE}/in/anything", "bad_path")),
    (definition(any_of({"$ref": "http://127.0.0.1/x"})), (f"{ONE}/in/anything", "bad_path")),
    (definition(any_of("{{ run.key }}")), (f"{ONE}/in/anything", "dangling")),
    (definition(any_of("{{ item.x }}")), (f"{ONE}/in/anything", "unknown_root")),
    (definition(any_of("{{ state.x }}")), (f"{ONE}/in/anything", "dangling")),
    (definition(any_of("{{ state }}")), (f"{ONE}/in/anything", "bad_path")),
    (definition(any_of("{{ modules.s.title }}")), (f"{ONE}/in/anything", "cycle")),
    (definition(any_of("{{ modules.n.number }}"), NUMBER), (f"{ONE}/in/anything", "forward")),
    (definition(any_of("{{ state.x }}"), number(1, out={"x": "number"})), (f"{ONE}/in/anything", "forward")),
    (
        definition(any_of("{{ modules.n.number }}"), number("{{ modules.s.title }}", "n")),
        (f"{ONE}/in/anything", "cycle"),
        (f"{TWO}/in/value", "wrong_type"),
    ),
    (definition(MAYBE, any_of("{{ modules.n.number }}")), (f"{TWO}/in/anything", "not_certain")),
    (definition(module("n", on_error="skip"), any_of("{{ modules.n.number }}")), (f"{TWO}/in/anything", "not_certain")),
    (definition({**MAYBE, "out": {"x": "number"}}, any_of("{{ state.x }}")), (f"{TWO}/in/anything", "not_certain")),
    (definition(MAYBE, output={"x": "{{ modules.n.number }}"}), ("/output/x", "not_certain")),
    (definition(NUMBER, output={"x": ["{{ modules.q.number }}"]}), ("/output/x/0", "dangling")),
    (definition(NUMBER, any_of("{{ modules.n.nummer }}")), (f"{TWO}/in/anything", "unknown_output")),
    (definition(NUMBER, any_of("{{ modules.n.number.x }}")), (f"{TWO}/in/anything", "unknown_output")),
    (definition(module("n", out={"x": "nummer"})), (f"{ONE}/out/x", "unknown_output")),
    (definition(module("n", out={"x": "../x"})), (f"{ONE}/out/x", "bad_path")),
    (definition(any_of("{{ input.topik }}"), input=CLOSED_INPUT), (f"{ONE}/in/anything", "unknown_output")),
    (definition(any_of("{{ input.topik }}"), input=OPEN_INPUT), (f"{ONE}/in/anything", "unnamed_input")),
    (definition(any_of(1, go_back=[])), (f"{ONE}/go_back", "unknown_field")),
    (
        definition(module("n"), module("s", "give.scenes@1", inputs={"go_back": [{"module": "x"}]})),
        (f"{TWO}/in/go_back/0/module", "dangling"),
        (f"{TWO}/in/go_back", "unknown_field"),
    ),
]
MODULES: list[Row] = [
    (definition(module("m", "give.nummer@1")), (f"{ONE}/type", "unknown_type")),
    (definition(module("m", "give.number@2")), (f"{ONE}/type", "unknown_type")),
    (definition(NUMBER, NUMBER), (f"{TWO}/id", "repeated_id")),
    (
        only(steps=[{"id": "a", "modules": [NUMBER]}, {"id": "a", "modules": [module("m")]}]),
        ("/steps/1/id", "repeated_id"),
    ),
    (definition(number("text")), (f"{ONE}/in/value", "wrong_type")),
    (definition(number(101)), (f"{ONE}/in/value", "bad_value")),
    (definition(number({"$ref": "input.x", "default": "text"})), (f"{ONE}/in/value", "wrong_type")),
    (definition(module("m", inputs={"valu": 1})), (f"{ONE}/in/valu", "unknown_field")),
    (definition(module("m", "give.template@1")), (f"{ONE}/in/template", "missing")),
    (definition(module("m", "give.template@1", inputs={"template": "{% if"})), (f"{ONE}/in/template", "bad_value")),
    (
        definition(module("s", "give.scenes@1", inputs={"scenes": [{"text": 1}, {"txt": "{{ input.x }}"}]})),
        (f"{ONE}/in/scenes/0/text", "wrong_type"),
        (f"{ONE}/in/scenes/1/text", "missing"),
        (f"{ONE}/in/scenes/1/txt", "unknown_field"),
    ),
    (definition(module("s", "give.scenes@1", inputs={"mood": "angry"})), (f"{ONE}/in/mood", "bad_value")),
    (definition(number("{{ input.topic }}"), input=OPEN_INPUT), (f"{ONE}/in/value", "wrong_type")),
    (definition(number("{{ run.id }}")), (f"{ONE}/in/value", "wrong_type")),
    (definition(NUMBER, number("so {{ modules.n.number }}")), (f"{TWO}/in/value", "wrong_type")),
    (definition(any_of(1), number("{{ modules.s.scenes }}")), (f"{TWO}/in/value", "wrong_type")),
    (definition(any_of(1), number("{{ modules.s.scenes.0.text }}")), (f"{TWO}/in/value", "wrong_type")),
    (definition(any_of(1, out={"t": "title"}), number("{{ state.t }}")), (f"{TWO}/in/value", "wrong_type")),
    (
        definition(number(1, "a"), module("s", "give.scenes@1", inputs={"scenes": ["{{ modules.a }}"]})),
        (f"{TWO}/in/scenes/0", "wrong_type"),
    ),
    (only(input={"type": "text"}), ("/input/type", "bad_schema")),
    (only(input={"type": "array"}), ("/input/type", "bad_schema")),
    (only(input={"properties": {"a": {"pattern": "(?=a)"}}}), ("/input/properties/a/pattern", "bad_schema")),
    (
        only(input={"properties": {"a": {"$ref": "http://example.org/schema"}}}),
        ("/input/properties/a/$ref", "bad_schema"),
    ),
    (only(input={"$ref": "#"}), ("/input", "bad_schema")),
    (only(input={"properties": 3}), ("/input/properties", "bad_schema")),
    (
        definition(module("s", "give.scenes@1", inputs={"schema": {"properties": {"a": {"minimum": "1"}}}})),
        (f"{ONE}/in/schema/properties/a/minimum", "bad_value"),
    ),
    (definition(each({"id": "x"})), (f"{ONE}/in/run/0/type", "missing")),
    (definition(each(module("x", "give.nummer@1"))), (f"{ONE}/in/run/0/type", "unknown_type")),
    (definition(each(number("{{ item }}", "x"), number("{{ index }}", "x"))), (f"{ONE}/in/run/1/id", "repeated_id")),
    (definition(each(any_of("{{ modules.y.number }}"), number(1, "y"))), (f"{ONE}/in/run/0/in/anything", "forward")),
    (definition(each(any_of("{{ modules.e.results }}"))), (f"{ONE}/in/run/0/in/anything", "cycle")),
    (
        definition(each(any_of("{{ index }}"), number("{{ index.x }}", "y"))),
        (f"{ONE}/in/run/1/in/value", "unknown_output"),
    ),
    (definition(MAYBE, each(any_of("{{ modules.n.number }}"))), (f"{TWO}/in/run/0/in/anything", "not_certain")),
    (definition(each("modules")), (f"{ONE}/in/run/0", "wrong_type")),
    (
        definition(each(*[module(f"m{i}") for i in range(MAX_MODULES)])),
        (f"{ONE}/in/run", "too_many"),
    ),
]
ROWS = [*FORM, *CONDITIONS, *REFERENCES, *MODULES]
AT_LIMITS: dict[str, dict[str, Any]] = {
    "modules": definition(*[module(f"m{i}") for i in range(MAX_MODULES)]),
    "references": definition(any_of(["{{ run.id }}"] * MAX_REFERENCES)),
    "values": definition(any_of([0] * (MAX_VALUES - 20))),
    "depth": definition(any_of(nested(13))),
    "bytes": definition(any_of("x" * (MAX_DEFINITION_BYTES - 200))),
    "outs": definition(module("m", out={f"n{i}": "number" for i in range(100)})),
    "path": definition(any_of("{{ input." + "x" * 250 + " }}")),
    "texts": only(title="x" * 200, description="x" * 4000, name="x" * 64, cost_limit="9" * 9),
}
"""Definitions at a limit, which are taken."""


def written(value: Any) -> bytes:
    """Return the JSON of *value*; bytes stay as they are."""
    # Python's own reader of JSON takes half of a surrogate pair.
    return value if isinstance(value, bytes) else json.dumps(value).encode()
