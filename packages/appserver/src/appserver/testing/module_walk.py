"""Walks through a module's life: what happens to it after each of its effects, good and bad."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue

from appserver.modules.contract import (
    Answer,
    Ask,
    Await,
    Call,
    ChildCall,
    Effect,
    ItemCall,
    Load,
    Seen,
    SignalCall,
    TaskCall,
    TimerCall,
    Try,
    Work,
)
from appserver.modules.json_schemas import misfits
from appserver.testing.samples import sample

MAX_STEPS = 12
MODULE = "module_1"
ODD: tuple[JsonValue, ...] = (
    None,
    True,
    -1,
    "text",
    [],
    {},
    [None, {"a": [1.5]}],
    {"value": None, "status": "x", "usage": 3},
)
"""Results and stored values that nobody promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The events that a walk gives to a module.

    Args:
        answers: The answers to its questions, in their order; where they end, samples of the question's schema.
        results: By key, what its calls give; ``{}`` for others.
        loaded: By key, what it loads; ``None`` for others.
        tries: Earlier tries.
    """

    answers: Sequence[JsonValue] = ()
    results: Mapping[str, JsonValue] = field(default_factory=dict)
    loaded: Mapping[str, JsonValue] = field(default_factory=dict)
    tries: tuple[Try, ...] = ()


def beginning(script: Script) -> Seen:
    """Return what a module has seen when it begins."""
    return Seen(
        run_id="wf_" + "0" * 32,
        project="A project",
        module=MODULE,
        number=1 + len(script.tries),
        seed=7,
        now=datetime(2026, 1, 1, tzinfo=UTC),
        tries=script.tries,
    )


def follow(seen: Seen, effect: Effect, script: Script) -> Seen | None:
    """Return what a module has seen after *effect*, or ``None`` when nothing more happens to it."""
    match effect:
        case Load(requests=requests):
            wanted = {request.key: script.loaded.get(request.key) for request in requests}
            return None if wanted.keys() <= seen.loaded.keys() else replace(seen, loaded={**seen.loaded, **wanted})
        case Ask(question=question):
            answer = _answer(len(seen.answers), question.schema, script)
            return None if answer is None else replace(seen, answers=(*seen.answers, _accepted(seen, answer)))
        case Await(calls=calls):
            work = {call.key: _completed(call, script) for call in calls}
            return (
                None
                if all(seen.work.get(key) == one for key, one in work.items())
                else replace(seen, work={**seen.work, **work})
            )
        case _:
            return None


def disturbed(seen: Seen, effect: Effect) -> Iterator[Seen]:
    """Yield what else may have happened after *effect*: odd results, failures, cancellations, odd stored values."""
    match effect:
        case Load(requests=requests):
            for odd in ODD:
                yield replace(seen, loaded={**seen.loaded, **{request.key: odd for request in requests}})
        case Await(calls=calls):
            for end in _ends():
                yield replace(
                    seen, work={**seen.work, **{call.key: replace(_work(call, "open"), **end) for call in calls}}
                )


def _ends() -> Iterator[Mapping[str, Any]]:
    yield from ({"state": state} for state in ("open", "cancelled"))
    errors = ({"code": "rate_limited", "message": "later"}, {"code": "?", "message": 3}, None)
    yield from ({"state": "failed", "error": error} for error in errors)
    yield from ({"state": "completed", "result": odd} for odd in ODD)


def _answer(number: int, schema: Mapping[str, Any], script: Script) -> JsonValue:
    if number < len(script.answers):
        return script.answers[number]
    made = sample(schema)
    return made if number < MAX_STEPS and not misfits(schema, made) else None


def _accepted(seen: Seen, answer: JsonValue) -> Answer:
    return Answer(interaction_id=f"int_{len(seen.answers)}", response=answer)


def _completed(call: Call, script: Script) -> Work:
    return replace(_work(call, "completed"), result=script.results.get(call.key, {}))


def _work(call: Call, state: Any) -> Work:
    kinds: Mapping[type, Any] = {
        TaskCall: "task",
        ItemCall: "task",
        ChildCall: "child",
        TimerCall: "timer",
        SignalCall: "signal",
    }
    return Work(kind=kinds[type(call)], state=state, id=f"tq_{call.key}")
