"""Happenings at once, in any order: one winner, and the others change nothing or are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import permutations

import pytest
from pydantic import JsonValue

from appdb.models import RunStatus
from appserver.engine.core.causes import Act, Answered, Fired, Signal
from appserver.engine.core.ways_back import Jump, Retry
from appserver.errors import ActionRefusedError, QuestionClosedError, RunEndedError
from appserver.modules.registry import ModuleRegistry
from appsupport.workflows.core_world import CoreWorld, definition_with
from appsupport.workflows.scripted_module import Scripted

REGISTRY = ModuleRegistry([Scripted()], inline=["test.scripted@1"])
PLAN = [["task", 1], ["ask", 60, True]]
Happening = Callable[[CoreWorld, str, str], None]


def _answer(response: JsonValue) -> Happening:
    def happen(world: CoreWorld, asked: str, timer: str) -> None:
        del timer
        world.cause(Answered(interaction_id=asked, response=response, by="usr_ada"))

    return happen


def _expire(world: CoreWorld, asked: str, timer: str) -> None:
    del asked
    world.tasks.pop(timer, None)
    world.cause(Fired(timer_id=timer))


def _end_task(world: CoreWorld, asked: str, timer: str) -> None:
    del asked, timer
    for task_id, task in list(world.open_tasks.items()):
        if task.sub_action_id == "first/more1":
            world.finish(task_id, {"made": 1})
    world.look()


def _retry(world: CoreWorld, asked: str, timer: str) -> None:
    del asked, timer
    world.go_back(Retry(module="first"))


def _jump(world: CoreWorld, asked: str, timer: str) -> None:
    del asked, timer
    world.go_back(Jump(module="first"))


def _signal(world: CoreWorld, asked: str, timer: str) -> None:
    del asked, timer
    world.cause(Signal(name="a", signal_id="sig_1"))


HAPPENINGS: dict[str, Happening] = {
    "answer": _answer({}),
    "other answer": _answer({"back": ""}),
    "expiry": _expire,
    "end of task": _end_task,
    "retry": _retry,
    "jump": _jump,
    "message": _signal,
}


@pytest.mark.parametrize("order", list(permutations(HAPPENINGS, 3)), ids="-".join)
def test_of_happenings_at_once_one_settles_the_question(order: tuple[str, ...]) -> None:
    definition = definition_with({"id": "first", "type": "test.scripted@1", "in": {"plan": PLAN}})
    world = CoreWorld(definition, REGISTRY, crashing=False)
    world.look()
    world.finish_first({"made": 0})
    world.cause(Act(module="first", action="more", request_id="click"))
    pending = world.state.pending
    assert pending is not None
    asked, timer = str(pending.data["interaction_id"]), str(pending.data["timer_id"])

    refused = [name for name in order if not _happens(world, name, asked, timer)]

    settled = Counter(
        str(event.interaction_id)
        for event in world.log
        if event.type in ("interaction_response", "interaction_expired")
    )
    assert all(count == 1 for count in settled.values())
    assert set(refused) <= {"answer", "other answer", "message"}
    assert len({event.id for event in world.log}) == len(world.log)
    assert world.status is RunStatus.COMPLETED or world.state.waiting_on
    assert not world.look()


def _happens(world: CoreWorld, name: str, asked: str, timer: str) -> bool:
    """Let one thing happen; return whether it was not refused."""
    before = world.state
    try:
        HAPPENINGS[name](world, asked, timer)
    except (QuestionClosedError, RunEndedError, ActionRefusedError):
        assert world.state == before, "what is refused changes nothing"
        return False
    return True


def test_jump_sees_nothing_behind_its_cutoff() -> None:
    first = {"id": "first", "type": "test.scripted@1", "in": {"plan": [["ask"]]}}
    second = {"id": "second", "type": "test.scripted@1", "in": {"plan": [["ask"]], "given": "{{ state.said }}"}}
    definition = definition_with({**first, "out": {"said": "answers.0.back"}}, second)
    world = CoreWorld(definition, REGISTRY)
    world.look()
    world.answer({"back": "", "hidden": True})
    world.cause(Signal(name="a", signal_id="sig_1", payload="hidden"))
    world.go_back(Jump(module="first"))

    state = world.state

    assert (state.outputs, state.given, state.signals, state.responses) == ({}, (), (), {})
    assert "hidden" not in str(world.picture().state.pending)
