"""The harness runs workflows without a database, and finds what a crash would change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from pydantic import JsonValue

from appdb.models import RunStatus
from appserver.errors import DefinitionError, InvalidAnswerError, QuestionClosedError
from appserver.modules.contract import Done, Effect, Module, ModuleKind, Ports, Seen
from appserver.testing import Fails, Harness, StaysSilent


def workflow(*modules: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "tale", "steps": [{"id": "only", "modules": list(modules)}], **more}


FORM = {
    "id": "form",
    "type": "user.form@1",
    "in": {
        "title": "What about?",
        "schema": {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]},
    },
}
DRAW = {
    "id": "draw",
    "type": "task.run@1",
    "in": {"actor": "picture", "payload": {"prompt": "{{ modules.form.answer.topic }}"}},
}
PICTURE: dict[str, JsonValue] = {"content_ids": ["gc_1"], "seed": 0}


def harness(*modules: Mapping[str, Any], **more: Any) -> Harness:
    return Harness(workflow(*modules, **more)).answer("form", {"topic": "tides"})


def test_run_ends_with_its_output() -> None:
    outcome = (
        harness(FORM, DRAW, output={"made": "{{ modules.draw.result.content_ids }}"}).gives("picture", PICTURE).run()
    )

    assert (outcome.status, outcome.output) == (RunStatus.COMPLETED, {"made": ["gc_1"]})
    assert [(task.actor, task.payload, task.state) for task in outcome.tasks] == [
        ("picture", {"prompt": "tides"}, "completed")
    ]


def test_run_waits_where_script_ends() -> None:
    outcome = Harness(workflow(FORM, DRAW)).run()

    assert outcome.status is RunStatus.AWAITING_INPUT
    assert outcome.question is not None
    assert [wait.kind for wait in outcome.state.waiting_on] == ["interaction"]


def test_silent_worker_leaves_run_waiting() -> None:
    outcome = harness(FORM, DRAW).stub("picture", StaysSilent()).run()

    assert outcome.status is RunStatus.PROCESSING
    assert [(wait.kind, wait.module) for wait in outcome.state.waiting_on] == [("task", "draw")]


def test_failed_task_stops_run_with_its_words() -> None:
    outcome = harness(FORM, DRAW).fails("picture", Fails(message="out of paint")).run()

    assert outcome.status is RunStatus.ERROR
    assert outcome.error is not None
    assert "out of paint" in str(outcome.error)


def test_engine_retries_after_its_pause() -> None:
    again = {**DRAW, "retry": {"max_attempts": 2, "delay_seconds": 300}}
    script = harness(FORM, again).fails("picture", Fails(message="out of paint")).gives("picture", PICTURE)
    run = script.begin()

    begun = run.clock.now
    outcome = run.run()

    assert outcome.status is RunStatus.COMPLETED
    assert run.clock.now - begun == timedelta(seconds=300)


def test_wrong_answer_leaves_question_open() -> None:
    run = Harness(workflow(FORM)).begin()

    with pytest.raises(InvalidAnswerError):
        run.answer({"topic": 7})

    assert run.outcome.status is RunStatus.AWAITING_INPUT
    assert run.answer({"topic": "tides"}).outcome.status is RunStatus.COMPLETED


def test_second_answer_is_told_the_first() -> None:
    run = Harness(workflow(FORM)).begin()
    asked = run.outcome.question
    assert asked is not None
    run.answer({"topic": "tides"})

    run.answer({"topic": "tides"}, interaction_id=asked["interaction_id"])
    with pytest.raises(QuestionClosedError) as raised:
        run.answer({"topic": "dunes"}, interaction_id=asked["interaction_id"])

    assert raised.value.accepted is not None
    assert raised.value.accepted.response == {"topic": "tides"}


def test_time_passes_only_when_told() -> None:
    run = Harness(workflow({"id": "rest", "type": "flow.wait@1", "in": {"seconds": 3600}})).begin()

    assert run.advance_by(timedelta(minutes=59)).outcome.status is RunStatus.PROCESSING
    assert run.advance_by(timedelta(minutes=1)).outcome.status is RunStatus.COMPLETED


def test_message_before_its_wait_is_kept() -> None:
    wait = {"id": "wait", "type": "flow.signal@1", "in": {"name": "paid"}}
    run = Harness(workflow(FORM, wait)).begin()

    outcome = run.signal("paid", {"by": "card"}).answer({"topic": "tides"}).run()

    assert outcome.status is RunStatus.COMPLETED


@pytest.mark.parametrize("at_once", [1, 2, 10])
def test_crash_changes_nothing(at_once: int) -> None:
    items = {
        "id": "all",
        "type": "flow.map@1",
        "in": {
            "items": [1, 2, 3],
            "at_once": at_once,
            "run": {"id": "one", "type": "task.run@1", "in": {"actor": "picture", "payload": {"prompt": "{{ item }}"}}},
        },
    }
    script = harness(FORM, items, {"id": "rest", "type": "flow.wait@1", "in": {"seconds": 5}}, DRAW)

    assert script.does("picture", lambda payload: {"drew": payload["prompt"]}).crash_everywhere() >= 5


class ClockNothing(Ports):
    """No input."""


class CountedOutputs(Ports):
    """How often the module was asked."""

    count: int


class CountsItself(Module[ClockNothing, CountedOutputs]):
    """Counts how often it is asked, which no module may do."""

    type = "bad.counts@1"
    kind = ModuleKind.INLINE
    Inputs = ClockNothing
    Outputs = CountedOutputs
    example: ClassVar[Mapping[str, Any]] = {}
    asked = 0

    def decide(self, inputs: ClockNothing, seen: Seen) -> Effect:  # noqa: ARG002
        type(self).asked += 1
        return Done(outputs={"count": type(self).asked})


def test_module_with_memory_is_found_by_a_crash() -> None:
    bad: dict[str, JsonValue] = {"id": "count", "type": "bad.counts@1", "in": {}}
    script = Harness(
        workflow(bad, FORM, output={"count": "{{ modules.count.count }}"}), modules=[CountsItself()]
    ).answer("form", {"topic": "tides"})

    with pytest.raises(AssertionError, match="after a crash behind commit 1: the output is"):
        script.crash_everywhere()


def test_definition_with_problems_is_refused() -> None:
    with pytest.raises(DefinitionError, match="unknown"):
        Harness(workflow({**FORM, "type": "user.frm@1"}))


def test_workflow_without_end_is_stopped() -> None:
    back = {
        **FORM,
        "in": {**FORM["in"], "go_back": [{"module": "form"}]},  # type: ignore[dict-item]
    }
    script = Harness(workflow(back))
    for _ in range(51):
        script.answer("form", {"go_back": "form"})

    with pytest.raises(AssertionError, match="goes on for ever"):
        script.begin().run(most_turns=50)
