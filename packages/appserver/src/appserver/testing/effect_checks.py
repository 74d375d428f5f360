"""Checks of effects: what the engine takes from a module, said in words where it would not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from jsonschema_rs import Draft202012Validator
from pydantic import ValidationError

from appserver.modules.contract import (
    Ask,
    Await,
    Call,
    Done,
    ErrorCode,
    Fail,
    GoBack,
    Load,
    Seen,
    TaskCall,
    TimerCall,
)
from appserver.modules.json_schemas import misfits, schema_problems
from appserver.modules.plain import is_json
from appserver.modules.registry import AnyModule

KEY = re.compile(r"[^\x00-\x1f\x7f-\x9f/]{1,100}")
"""Of a call; it is a part of ids, and of paths."""
MAX_SHOWN = 300


def effect_problems(module: AnyModule, effect: object, seen: Seen) -> list[str]:
    """Return what the engine would not take of *effect*, which *module* gave for *seen*."""
    match effect:
        case Done():
            return list(_of_done(module, effect))
        case Ask():
            return list(_of_question(effect))
        case Await():
            return list(_of_calls(effect, seen))
        case Load() | GoBack() | Fail():
            return list(_of_others(effect))
        case _:
            return [f"decide gave {_shown(effect)}, which is no effect"]


def schema_errors(schema: Mapping[str, Any], value: Any) -> list[str]:
    """Return where *value* does not fit the schema of a module's ports."""
    validator = Draft202012Validator(dict(schema), offline=True)
    return [
        f"/{'/'.join(map(str, error.instance_path))}: {_shown(error.message)}" for error in validator.iter_errors(value)
    ]


def _of_others(effect: Load | GoBack | Fail) -> Iterator[str]:
    match effect:
        case Load(requests=requests):
            keys = [request.key for request in requests]
            if not keys or len(set(keys)) < len(keys):
                yield f"Load has no keys, or the same twice: {keys}"
        case GoBack(module=name, feedback=feedback):
            if not name or not is_json(dict(feedback)):
                yield "GoBack names no module, or its feedback is no JSON"
        case Fail(code=code, message=message):
            if code not in list(ErrorCode) or not message:
                yield f"Fail has no code of ErrorCode, or no message: {code}"


def _of_done(module: AnyModule, effect: Done) -> Iterator[str]:
    outputs = dict(effect.outputs)
    if not is_json(outputs):
        yield f"outputs are no JSON that can be stored: {_shown(outputs)}"
        return
    try:
        module.Outputs.model_validate(outputs)
    except ValidationError as exc:
        yield f"outputs do not fit Outputs: {_shown(exc)}"
    yield from (
        f"outputs do not fit the schema of Outputs: {one}"
        for one in schema_errors(module.Outputs.model_json_schema(), outputs)
    )


def _of_question(effect: Ask) -> Iterator[str]:
    question = effect.question
    problems = schema_problems(question.schema)
    yield from (f"the question's schema at {problem.pointer or 'its root'}: {problem.message}" for problem in problems)
    if question.default is not None and not problems:
        wrong = misfits(question.schema, question.default)
        yield from (f"the question's default at {problem.pointer}: {problem.message}" for problem in wrong)
    if not question.kind or not question.title:
        yield "the question has no kind or no title"
    for name, value in (("schema", dict(question.schema)), ("data", question.data), ("ui", dict(question.ui))):
        if not is_json(value):
            yield f"the question's {name} is no JSON that can be stored"
    if question.expires_in is not None and question.expires_in <= timedelta(0):
        yield "the question has expired before it is asked"


def _of_calls(effect: Await, seen: Seen) -> Iterator[str]:
    keys = [call.key for call in effect.calls]
    if not keys and not any(work.state == "open" for work in seen.work.values()):
        yield "Await names no call and none is open; the module would wait for ever"
    if len(set(keys)) < len(keys):
        yield f"two calls have the same key: {keys}"
    yield from (
        f"{key!r} is no key: up to 100 characters without control characters and /"
        for key in keys
        if not KEY.fullmatch(key)
    )
    for call in effect.calls:
        yield from (f"call {call.key}: {problem}" for problem in _of_call(call))


def _of_call(call: Call) -> Iterator[str]:
    match call:
        case TaskCall():
            if not is_json(dict(call.payload)):
                yield "the payload is no JSON that can be stored"
            if not call.actor or not call.queue or call.max_attempts < 1:
                yield "it has no actor, no queue or no attempts"
            if call.estimate is not None and (not call.estimate.is_finite() or call.estimate < 0):
                yield "the estimate is no amount"
        case TimerCall():
            if (call.delay is None) == (call.at is None):
                yield "a timer has a delay or a time, and not both"


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
