"""Failures: the engine's own attempts, what a person can do, and modules that misbehave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from pydantic import Field

from appdb.models import RunStatus
from appserver.engine.core.advance import advance
from appserver.engine.core.causes import Look
from appserver.engine.core.ways_back import Retry
from appserver.engine.definition.parsing import stored_definition
from appserver.modules.contract import (
    Ask,
    Await,
    Done,
    Effect,
    ErrorCode,
    Fail,
    FieldProblem,
    GoBack,
    Load,
    LoadFile,
    Module,
    ModuleKind,
    Ports,
    Question,
    SaveFile,
    Seen,
    TaskCall,
)
from appserver.modules.registry import ModuleRegistry
from appsupport.workflows.core_world import CoreWorld, definition_with
from appsupport.workflows.scripted_module import Scripted

POINTERS = (FieldProblem(pointer="/" + "x" * 30_000, message="no"),) * 20
"""More than an event can hold."""


class NoInputs(Ports):
    what: str = ""


class Text(Ports):
    text: str
    numbers: list[int] = Field(default_factory=list)


class Misbehaving(Module[NoInputs, Text]):
    """Does what no module should."""

    type = "test.misbehaving@1"
    kind = ModuleKind.INLINE
    Inputs = NoInputs
    Outputs = Text
    example: ClassVar[Mapping[str, Any]] = {}

    def decide(self, inputs: NoInputs, seen: Seen) -> Effect:
        """Misbehave."""
        if inputs.what == "raise":
            raise RuntimeError("a secret")
        misdeeds: dict[str, Effect] = {
            "misfit": Done(outputs={"text": 5, "other": 1}),
            "large": Done(outputs={"text": "x" * 140_000}),
            "many": Done(outputs={"text": "", "numbers": [0] * 40_000}),
            "wait": Await(calls=()),
            "back": GoBack(module=seen.module),
            "load": Load(requests=(LoadFile(key="a", name="a.json"),)),
            "file": Done(outputs={"text": ""}, writes=(SaveFile(name="a.txt", content="x" * (9 * 1024 * 1024)),)),
            "pointers": Fail(code=ErrorCode.BUG, message="pointers", problems=POINTERS),
            "label": Await(calls=(TaskCall(key="a", actor="draw", payload={}, label="x" * 300_000),)),
            "title": Ask(question=Question(kind="form", title="x" * 150_000, schema={})),
        }
        return misdeeds.get(inputs.what, "nothing")  # type: ignore[arg-type]


MODULES: list[Module[Any, Any]] = [Scripted(), Misbehaving()]
TYPES = [one.type for one in MODULES]
REGISTRY = ModuleRegistry(MODULES, inline=TYPES)


def scripted(*plan: Any, name: str = "only", **more: Any) -> dict[str, Any]:
    return {"id": name, "type": "test.scripted@1", "in": {"plan": [list(one) for one in plan]}, **more}


def world_of(*modules: dict[str, Any], **more: Any) -> CoreWorld:
    world = CoreWorld(definition_with(*modules, **more), REGISTRY)
    world.look()
    return world


def error_of(world: CoreWorld) -> dict[str, Any]:
    assert world.line[-1].type == "workflow_error", world.types
    error: dict[str, Any] = world.line[-1].data["error"]
    return error


def test_error_says_where_it_was_and_what_can_be_done() -> None:
    error = error_of(world_of(scripted(("fail", "rejected"))))
    assert error["at"] == {"step": "only", "module": "only", "try": 1}
    assert (error["code"], error["retryable"]) == ("rejected", False)
    assert error["actions"] == ["retry", "retry_with_inputs", "jump", "move_version", "cancel"]


def test_engine_tries_again_after_growing_pauses() -> None:
    rule = {"max_attempts": 3, "delay_seconds": 5, "backoff": 3.0}
    world = world_of(scripted(("task", 1), retry=rule))
    pauses = []
    for _ in range(2):
        world.finish_first(error={"code": "retryable", "message": "busy"})
        pauses.append(next(iter(world.open_timers.values())).delay.total_seconds())
        world.fire_first()
    assert pauses == [5, 15]
    world.finish_first(error={"code": "retryable", "message": "busy"})
    assert error_of(world)["code"] == "retryable"


def test_engine_keeps_what_was_done_in_the_attempt_before() -> None:
    world = world_of(scripted(("task", 2), retry={"max_attempts": 2, "delay_seconds": 1}))
    world.finish_first({})
    world.finish_first(error={"code": "rate_limited", "message": "slow down"})
    world.fire_first()
    assert [task.sub_action_id for task in world.open_tasks.values()] == ["only/task0_1"]
    world.finish_first({})
    assert world.status is RunStatus.COMPLETED


def test_error_that_does_not_pass_is_not_tried_again() -> None:
    world = world_of(scripted(("task", 2), retry={"max_attempts": 5, "delay_seconds": 1}))
    world.finish_first(error={"code": "rejected", "message": "no"})
    assert error_of(world)["code"] == "rejected"
    assert not world.open_tasks


def test_person_retries_before_the_pause_is_over() -> None:
    world = world_of(scripted(("task", 1), retry={"max_attempts": 2, "delay_seconds": 60}))
    world.finish_first(error={"code": "retryable", "message": "busy"})
    timer = next(iter(world.open_timers))
    world.go_back(Retry(module="only"))
    assert timer in world.cancelled
    assert len(world.open_tasks) == 1


def test_timeout_stops_the_work_and_fails() -> None:
    world = world_of(scripted(("task", 2), timeout_seconds=30.0))
    world.fire_first()
    assert error_of(world)["code"] == "expired"
    assert len(world.cancelled) >= 2


def test_module_that_may_fail_is_passed_over() -> None:
    world = world_of(
        scripted(("fail", "bug"), on_error="skip"),
        scripted(name="after"),
        output={"after": {"$ref": "modules.only", "default": "nothing"}},
    )
    assert world.output == {"after": "nothing"}
    assert "module_skipped" in world.types


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("raise", "bug", "failed unexpectedly: RuntimeError"),
        ("misfit", "invalid_output", "/text"),
        (
            "large",
            "invalid_output",
            "outputs of module bad (test.misbehaving@1), with what has a name in the state",
        ),
        ("many", "invalid_output", "more than an event can hold"),
        ("file", "invalid_output", "file 'a.txt' of module bad (test.misbehaving@1) takes 9,437,186 bytes"),
        ("pointers", "bug", "pointers"),
        ("wait", "bug", "nothing that it waits for is open"),
        ("back", "bug", "nothing has happened that it could answer"),
        ("nonsense", "bug", "returned str, which is no effect"),
    ],
)
def test_misbehaviour_of_module_is_an_error_of_the_run(what: str, code: str, message: str) -> None:
    error = error_of(world_of({"id": "bad", "type": "test.misbehaving@1", "in": {"what": what}}))
    assert error["code"] == code
    assert message in error["message"]
    assert "secret" not in str(error)


@pytest.mark.parametrize(("what", "kind"), [("label", "task"), ("title", "interaction")])
def test_long_label_is_cut_for_those_who_wait(what: str, kind: str) -> None:
    world = world_of({"id": "bad", "type": "test.misbehaving@1", "in": {"what": what}})
    (wait,) = world.state.waiting_on
    assert (wait.kind, wait.label) == (kind, "x" * 200)


def test_module_that_loads_for_ever_is_an_error() -> None:
    world = world_of({"id": "bad", "type": "test.misbehaving@1", "in": {"what": "load"}})
    assert "data that it has been given" in error_of(world)["message"]


def test_missing_value_names_its_path() -> None:
    error = error_of(world_of({"id": "bad", "type": "test.misbehaving@1", "in": {"what": "{{ input.what }}"}}))
    assert (error["code"], error["problems"][0]["pointer"]) == ("misconfigured", "/what")
    assert "input.what" in error["message"]


def test_inputs_that_do_not_fit_name_each_place() -> None:
    error = error_of(world_of({"id": "bad", "type": "test.misbehaving@1", "in": {"what": 5, "other": 1}}))
    assert [one["pointer"] for one in error["problems"]] == ["/what", "/other"]


def test_module_that_host_lacks_is_handed_to_another() -> None:
    definition = definition_with(scripted(("ask",)), output={"n": "{{ modules.only.number }}"})
    here = CoreWorld(definition, ModuleRegistry([]))
    here.look()
    task = next(iter(here.tasks.values()))
    assert (task.actor, task.actor_version, task.queue) == ("engine.module:test.scripted", 1, "engine")
    assert not here.look()
    there = replace(here, registry=REGISTRY, begun=True)
    there.look()
    assert there.state.pending is not None


def test_answer_on_host_without_module_is_handed_on() -> None:
    world = world_of(scripted(("ask",)))
    lacking = replace(world, registry=ModuleRegistry([]), begun=True)
    assert [event.type.value for event in lacking.answer({})] == ["interaction_response"]
    assert [task.actor for task in lacking.tasks.values()] == ["engine.module:test.scripted"]
    there = replace(lacking, registry=REGISTRY, begun=True)
    there.look()
    assert there.status is RunStatus.COMPLETED


def test_module_of_other_package_runs_in_its_own_task_alone() -> None:
    world = CoreWorld(definition_with(scripted()), ModuleRegistry(MODULES))
    world.look()
    assert world.tasks
    allowed = replace(world, allow=frozenset({"test.scripted@1"}), begun=True)
    allowed.look()
    assert allowed.status is RunStatus.COMPLETED


def test_budget_refuses_tasks_until_it_is_raised() -> None:
    world = CoreWorld(definition_with(scripted(("task", 1), ("paid", "0.10"))), REGISTRY)
    world.look()
    world.finish(next(iter(world.open_tasks)), {})
    world.apply(advance(replace(world.picture(), over_budget="the budget of this run is used up"), Look()))
    assert (error_of(world)["code"], error_of(world)["message"]) == ("budget_exceeded", "its task failed")
    world.go_back(Retry(module="only"))
    world.finish_first({})
    assert [task.reserves for task in world.open_tasks.values()] == [Decimal("0.10")]


def test_many_modules_are_cut_into_several_decisions() -> None:
    steps = [{"id": f"s{number}", "modules": [scripted(name=f"m{number}")]} for number in range(200)]
    definition = stored_definition({"name": "trial", "steps": steps})
    world = CoreWorld(definition, REGISTRY, crashing=False)
    first = world.decide(Look())
    assert first.cut
    assert len(first.events) <= 500
    world.look()
    assert world.status is RunStatus.COMPLETED
