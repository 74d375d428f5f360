"""Answers to questions: accepted once, and the accepted one is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import JsonValue

from appserver.engine.core.causes import Act, Answered, Look
from appserver.errors import ActionRefusedError, InvalidAnswerError, QuestionClosedError, RunEndedError
from appserver.modules.builtin import host_registry
from appserver.modules.registry import ModuleRegistry
from appsupport.workflows.core_world import CoreWorld, definition_with
from appsupport.workflows.scripted_module import Scripted

REGISTRY = ModuleRegistry([*host_registry(), Scripted()], inline=[one.type for one in [*host_registry(), Scripted()]])
FORM: dict[str, Any] = {
    "id": "form",
    "type": "user.form@1",
    "in": {
        "title": "What is it about?",
        "schema": {
            "type": "object",
            "properties": {"topic": {"type": "string", "minLength": 2}, "count": {"type": "integer"}},
            "required": ["topic", "count"],
        },
    },
}
ANSWER: dict[str, JsonValue] = {"topic": "sea", "count": 3}


def world_with(*modules: Mapping[str, Any]) -> CoreWorld:
    world = CoreWorld(definition_with(*modules, output={"topic": "{{ modules.form.answer.topic }}"}), REGISTRY)
    world.look()
    return world


def asked_in(world: CoreWorld) -> str:
    pending = world.state.pending
    assert pending is not None
    return str(pending.data["interaction_id"])


def test_answer_leads_to_next_wait_at_once() -> None:
    world = world_with(FORM, {"id": "pause", "type": "user.pause@1", "in": {"title": "Look"}})
    followed = [event.type.value for event in world.answer(ANSWER)]
    assert followed == ["interaction_response", "module_completed", "module_started", "interaction_requested"]


@pytest.mark.parametrize("last", [True, False])
def test_same_answer_again_changes_nothing(last: bool) -> None:
    pause = {"id": "pause", "type": "user.pause@1", "in": {"title": "Look"}}
    world = world_with(FORM) if last else world_with(FORM, pause)
    asked = asked_in(world)
    world.answer(ANSWER)
    assert not world.cause(Answered(interaction_id=asked, response={"count": 3.0, "topic": "sea"}, by="usr_bob"))


def test_other_answer_is_told_the_accepted_one() -> None:
    world = world_with(FORM)
    asked = asked_in(world)
    world.answer(ANSWER, by="usr_ada")
    with pytest.raises(QuestionClosedError) as caught:
        world.cause(Answered(interaction_id=asked, response={"topic": "sky", "count": 1}, by="usr_bob"))
    assert caught.value.reason == "answered"
    assert caught.value.accepted is not None
    assert (caught.value.accepted.response, caught.value.accepted.by) == (ANSWER, "usr_ada")


def test_invalid_answer_names_each_place_and_stays_open() -> None:
    world = world_with(FORM)
    with pytest.raises(InvalidAnswerError) as caught:
        world.answer({"topic": "x"})
    assert sorted(error.field for error in caught.value.errors) == ["/count", "/topic"]
    world.answer(ANSWER)
    assert world.output == {"topic": "sea"}


def test_late_answer_is_refused_before_timer_fires() -> None:
    world = world_with({**FORM, "timeout_seconds": 60.0})
    world.pass_time(60)
    with pytest.raises(QuestionClosedError) as caught:
        world.answer(ANSWER)
    assert caught.value.reason == "expired"


def test_default_counts_when_question_expires() -> None:
    asking = {**FORM["in"], "default": ANSWER, "expires_seconds": 5}
    world = world_with({**FORM, "in": asking})
    asked = asked_in(world)
    world.fire_first()
    assert world.output == {"topic": "sea"}
    with pytest.raises(QuestionClosedError) as caught:
        world.cause(Answered(interaction_id=asked, response=ANSWER, by="usr_ada"))
    assert caught.value.reason == "expired"


def test_expiry_without_default_fails_module() -> None:
    world = world_with({**FORM, "timeout_seconds": 5.0})
    world.fire_first()
    assert world.line[-1].data["error"]["code"] == "expired"


def test_answer_cancels_timer_of_question() -> None:
    world = world_with({**FORM, "timeout_seconds": 5.0})
    timer = next(iter(world.open_timers))
    world.answer(ANSWER)
    assert timer in world.cancelled


def test_unknown_question_is_not_asked() -> None:
    with pytest.raises(QuestionClosedError, match="not asked"):
        world_with(FORM).cause(Answered(interaction_id="int_none", response={}, by="usr_ada"))


def test_action_starts_work_once_and_question_stays() -> None:
    world = world_with({"id": "form", "type": "test.scripted@1", "in": {"plan": [["ask"]]}})
    asked = asked_in(world)
    act = Act(module="form", action="more", request_id="click")
    assert [event.type.value for event in world.cause(act)] == ["sub_action_started"]
    assert not world.cause(act)
    world.finish_first({"made": 1})
    assert asked_in(world) == asked


def test_action_that_is_not_offered_is_refused() -> None:
    with pytest.raises(ActionRefusedError, match="form offers no actions"):
        world_with(FORM).cause(Act(module="form", action="more", request_id="click"))


def test_action_on_ended_run_is_refused() -> None:
    world = world_with(FORM)
    world.answer(ANSWER)
    with pytest.raises(RunEndedError, match="completed"):
        world.cause(Act(module="form", action="more", request_id="click"))
    assert world.decide(Look()).nothing
