"""Questions: what is asked, and what an answer leads to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appserver.modules.builtin import builtin_modules
from appserver.modules.contract import Answer, Ask, Done, Effect, ErrorCode, Fail, GoBack, Seen
from appserver.modules.json_schemas import misfits

SEEN = Seen(run_id="wf_1", project="p", module="m", number=1, seed=1, now=datetime(2026, 1, 1, tzinfo=UTC))
MODULES = {module.type: module for module in builtin_modules()}


def decided(type_: str, inputs: dict[str, Any], *answers: Any, expired: bool = False) -> Effect:
    module = MODULES[type_]
    given = tuple(Answer(interaction_id=f"int_{i}", response=a, expired=expired) for i, a in enumerate(answers))
    seen = Seen(run_id="wf_1", project="p", module="m", number=1, seed=1, now=SEEN.now, answers=given)
    return module.decide(module.Inputs.model_validate(inputs), seen)


FORM = {"title": "T", "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}
WAY = {"module": "write", "label": "Write again"}


def test_form_asks_with_schema_and_values() -> None:
    effect = decided("user.form@1", FORM | {"values": {"n": 3}, "expires_seconds": 60, "show": [1]})

    assert isinstance(effect, Ask)
    assert effect.question.schema == FORM["schema"]
    assert effect.question.data == {"show": [1], "values": {"n": 3}}
    assert effect.question.expires_in == timedelta(seconds=60)


def test_form_gives_its_answer() -> None:
    assert decided("user.form@1", FORM, {"n": 1}) == Done(outputs={"answer": {"n": 1}, "expired": False})


def test_wrong_default_is_named() -> None:
    effect = decided("user.form@1", FORM | {"default": {"n": "x"}})

    assert isinstance(effect, Fail)
    assert effect.code is ErrorCode.MISCONFIGURED
    assert effect.problems[0].pointer == "/n"


@pytest.mark.parametrize("schema", [{"type": "string"}, {}, {"type": "object", "$ref": "#/nowhere"}])
def test_form_refuses_schema_of_other_type(schema: dict[str, Any]) -> None:
    effect = decided("user.form@1", {"title": "T", "schema": schema})

    assert isinstance(effect, Fail)
    assert effect.code is ErrorCode.MISCONFIGURED


@pytest.mark.parametrize("type_", ["user.form@1", "user.text_input@1", "user.pause@1"])
def test_answer_may_go_back_with_feedback(type_: str) -> None:
    inputs = (FORM if type_ == "user.form@1" else {"title": "T"}) | {"go_back": [WAY]}
    asked = decided(type_, inputs)
    answer = {"go_back": "write", "feedback": "shorter"}

    assert isinstance(asked, Ask)
    assert misfits(asked.question.schema, answer) == ()
    assert misfits(asked.question.schema, {"go_back": "other"}) != ()
    assert decided(type_, inputs, answer) == GoBack(module="write", feedback={"message": "shorter"})


def test_text_is_given_as_written() -> None:
    assert decided("user.text_input@1", {"title": "T"}, {"value": " x "}) == Done(
        outputs={"value": " x ", "expired": False}
    )


def test_pattern_of_text_is_read_by_linear_engine() -> None:
    effect = decided("user.text_input@1", {"title": "T", "pattern": "^(?=a)b"})

    assert isinstance(effect, Fail)
    assert effect.problems[0].pointer == "/properties/value/pattern"


def test_pause_goes_on_by_itself_when_told_to() -> None:
    inputs = {"title": "T", "expires_seconds": 5, "go_on": True}
    asked = decided("user.pause@1", inputs)

    assert isinstance(asked, Ask)
    assert asked.question.default == {}
    assert decided("user.pause@1", inputs, {}, expired=True) == Done(outputs={"confirmed": False})
