"""The advance of runs, for any definition and anything that happens: always a wait or an end, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from appdb.models import RunStatus
from appserver.engine.core.causes import Act, Fired, Look, Signal
from appserver.engine.definition.parsing import stored_definition
from appserver.errors import ActionRefusedError, InvalidAnswerError, QuestionClosedError
from appserver.modules.registry import ModuleRegistry
from appsupport.workflows.core_world import CoreWorld
from appsupport.workflows.scripted_module import Scripted, ScriptedRepeatable

TYPES = [Scripted(), ScriptedRepeatable()]
REGISTRY = ModuleRegistry(TYPES, inline=[module.type for module in TYPES])
CODES = ["retryable", "rate_limited", "rejected", "invalid_output", "bug"]

effects = st.one_of(
    st.tuples(st.just("task"), st.integers(1, 3)),
    st.just(("ask",)),
    st.just(("ask", 30)),
    st.just(("ask", 30, True)),
    st.tuples(st.just("timer"), st.integers(0, 20)),
    st.tuples(st.just("signal"), st.sampled_from("ab")),
    st.just(("load",)),
    st.tuples(st.just("fail"), st.sampled_from(CODES)),
    st.tuples(st.just("fail"), st.sampled_from(CODES), st.just(2)),
)


@st.composite
def definitions(draw: st.DrawFn) -> Any:
    """Definitions of one to six modules in one to three steps."""
    count = 0
    steps = []
    for step in range(draw(st.integers(1, 3))):
        modules = []
        for _ in range(draw(st.integers(1, 2))):
            modules.append(draw(_module(f"m{count}", count)))
            count += 1
        steps.append({"id": f"s{step}", "modules": modules})
    return stored_definition({"name": "trial", "steps": steps, "output": {"last": f"{{{{ modules.m{count - 1} }}}}"}})


@st.composite
def _module(draw: st.DrawFn, name: str, index: int) -> dict[str, Any]:
    inputs: dict[str, Any] = {"plan": draw(st.lists(effects.map(list), max_size=3))}
    if index and draw(st.booleans()):
        inputs["given"] = {"$ref": f"modules.m{index - 1}.given", "default": index}
    module: dict[str, Any] = {"id": name, "type": draw(st.sampled_from([one.type for one in TYPES])), "in": inputs}
    module |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "retry": st.just({"max_attempts": 2, "delay_seconds": 3}),
                "timeout_seconds": st.just(10.0),
                "on_error": st.just("skip"),
                "when": st.just({"path": "input.flag", "op": "eq", "value": 1}),
                "out": st.just({"named": "given"}),
            },
        )
    )
    return module


def _answer(world: CoreWorld, number: int) -> None:
    del number
    _respond(world, {})


def _go_back(world: CoreWorld, number: int) -> None:
    begun = sorted(module for _, module in world.state.started)
    _respond(world, {"back": begun[number % len(begun)], "branch": number > 5})


def _respond(world: CoreWorld, response: JsonValue) -> None:
    """Answer the open question; what is refused changes nothing."""
    before = world.state
    if before.pending is None:
        return
    try:
        world.answer(response)
    except (InvalidAnswerError, QuestionClosedError):
        assert world.state == before


def _end(world: CoreWorld, number: int, error: dict[str, JsonValue] | None) -> None:
    tasks = sorted(world.open_tasks)
    if tasks:
        world.finish(tasks[number % len(tasks)], {"made": number}, error)
        world.look()


def _fail(world: CoreWorld, number: int) -> None:
    _end(world, number, {"code": CODES[number % len(CODES)], "message": "no"})


def _fire(world: CoreWorld, number: int) -> None:
    del number
    if world.open_timers:
        world.fire_first()


def _act(world: CoreWorld, number: int) -> None:
    pending = world.state.pending
    with suppress(ActionRefusedError):
        module = "m0" if pending is None else str(pending.module)
        world.cause(Act(module=module, action="more", request_id=str(number)))


def _nothing(world: CoreWorld, number: int) -> None:
    assert not world.cause(Fired(timer_id=f"tq_{number}"))
    assert not world.look()


def _signal(world: CoreWorld, number: int) -> None:
    world.cause(Signal(name="ab"[number % 2], signal_id=str(number), payload=number))


HAPPENINGS: Mapping[str, Callable[[CoreWorld, int], None]] = {
    "answer": _answer,
    "back": _go_back,
    "bad answer": lambda world, number: _respond(world, [number]),
    "finish": lambda world, number: _end(world, number, None),
    "fail": _fail,
    "fire": _fire,
    "signal": _signal,
    "act": _act,
    "nothing": _nothing,
}


happenings = st.tuples(st.sampled_from(sorted(HAPPENINGS)), st.integers(0, 9))


@settings(max_examples=80, deadline=None)
@given(definition=definitions(), flag=st.integers(0, 1), happened=st.lists(happenings, max_size=25))
def test_any_run_waits_or_ends_without_doubles(definition: Any, flag: int, happened: list[tuple[str, int]]) -> None:
    world = CoreWorld(definition, REGISTRY, {"flag": flag})
    world.look()
    for what, number in happened:
        if world.state.position.ended is not None:
            break
        HAPPENINGS[what](world, number)
        check(world)
    if world.state.position.ended is not None:
        assert world.decide(Fired(timer_id="tq_any")).nothing


def check(world: CoreWorld) -> None:
    """See that the run waits for something that is there, or has ended, and that nothing was begun twice."""
    state = world.state
    ids = [event.id for event in world.log]
    assert len(set(ids)) == len(ids)
    assert len(set(world.enqueued)) == len(world.enqueued)
    assert world.decide(Look()).nothing
    if state.status in (RunStatus.COMPLETED, RunStatus.ERROR):
        return
    assert state.waiting_on, world.types
    for wait in state.waiting_on:
        if wait.kind in ("task", "timer"):
            assert wait.id in world.tasks, (wait, world.types)
    waited = {wait.id for wait in state.waiting_on}
    kept = {str(event.data.get("timer_id")) for event in [state.pending] if event is not None}
    assert set(world.tasks) <= waited | kept, "what is open outside is waited for"
