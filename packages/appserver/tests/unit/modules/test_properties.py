"""Every shipped module, whatever its inputs and whatever happens: it decides, always the same, within its time."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from appserver.modules.contract import Answer, Ask, Await, Call, Effect, Load, Ports, Seen, TaskCall, Try, Work
from appserver.modules.json_schemas import misfits
from appserver.modules.plain import plain
from appserver.modules.registry import AnyModule
from appserver.testing.effect_checks import effect_problems
from appserver.testing.samples import sample
from appsupport.modules import MODULES, seen

MAX_STEPS = 5
MAX_SECONDS = 0.05
TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        "{{ a }}",
        "{% for x in y %}",
        "{{ 'a' * 9999 }}",
        "a.b.0",
        "(?P<x>a*)*",
        "a[?b > `1`]",
        "[@,@][]",
        "$where",
        "../x",
        "https://x.example.com/",
        "\0",
        "0.10",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
SCHEMAS = st.sampled_from(
    [
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
        {"type": "object", "$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"type": "objct"},
        {"anyOf": [{"type": "string", "pattern": "(?=a)"}]},
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in *value*."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, one in inner for place in places(one, (*path, name)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return *value* with another one at *path*."""
    if not path:
        return new
    whole = copy.deepcopy(value)
    holder = whole
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = new
    return whole


def some_inputs(draw: Callable[..., Any], module: AnyModule) -> Ports:
    """Return inputs that the module takes: its example, with other values here and there."""
    given_ = plain(module.example)
    names = [field.alias or name for name, field in module.Inputs.model_fields.items()]
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.sampled_from([(name,) for name in names] + places(given_)[1:]))
        try:
            candidate = changed(given_, place, draw(SCHEMAS | JSON))
            module.Inputs.model_validate(candidate)
        except (ValidationError, KeyError, IndexError, TypeError):
            continue
        given_ = candidate
    inputs: Ports = module.Inputs.model_validate(given_)
    return inputs


def happens(draw: Callable[..., Any], module: AnyModule, inputs: Ports, before: Seen, effect: Effect) -> Seen | None:
    """Return what the module has seen when something has happened after its effect, or ``None`` at its end."""
    match effect:
        case Load(requests=requests):
            return replace(before, loaded={**before.loaded, **{one.key: draw(JSON) for one in requests}})
        case Await(calls=calls):
            return replace(before, work={**before.work, **{one.key: some_work(draw, one) for one in calls}})
        case Ask(question=question):
            answer = draw(st.just(sample(question.schema)) | st.fixed_dictionaries({"go_back": TEXTS}) | JSON)
            if misfits(question.schema, answer) or module.check_answer(inputs, before, answer):
                return None
            return replace(before, answers=(*before.answers, Answer(interaction_id="int_1", response=answer)))
        case _:
            return None


def some_work(draw: Callable[..., Any], call: Call) -> Work:
    error = draw(st.none() | st.dictionaries(st.sampled_from(["code", "message", "hint"]), JSON))
    state = draw(st.sampled_from(["open", "completed", "completed", "failed", "cancelled"]))
    return Work(
        kind="task" if isinstance(call, TaskCall) else "child", state=state, id="tq_1", result=draw(JSON), error=error
    )


TRIES = st.lists(
    st.builds(
        Try,
        outputs=st.none() | st.dictionaries(TEXTS, JSON, max_size=3),
        feedback=st.none() | st.fixed_dictionaries({"message": JSON}),
    ),
    max_size=3,
)


@pytest.mark.parametrize("type_", sorted(MODULES))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_module_decides_whatever_happens(type_: str, data: st.DataObject) -> None:
    module = MODULES[type_]
    inputs = some_inputs(data.draw, module)
    now: Seen | None = seen(tries=data.draw(TRIES))
    for _ in range(MAX_STEPS):
        if now is None:
            break
        began = time.process_time()
        effect = module.decide(inputs, now)
        seconds = time.process_time() - began

        assert effect_problems(module, effect, now) == []
        assert module.decide(inputs, now) == effect
        assert seconds < MAX_SECONDS * 4, seconds  # of one look, with a garbage collection in it
        now = happens(data.draw, module, inputs, now, effect)


@pytest.mark.parametrize("type_", sorted(MODULES))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_module_judges_whatever_is_written(type_: str, data: st.DataObject) -> None:
    module = MODULES[type_]
    written = data.draw(
        st.dictionaries(st.sampled_from([*module.Inputs.model_fields, "schema"]), SCHEMAS | JSON, max_size=4)
    )

    for problem in module.check_inputs(written):
        assert problem.message
    assert isinstance(module.output_schema(written), dict)
