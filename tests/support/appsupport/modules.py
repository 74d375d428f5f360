"""Decisions of modules: inputs and what was seen, as short as tests need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from appserver.modules.builtin import builtin_modules
from appserver.modules.contract import Answer, Done, Effect, Fail, FieldProblem, Seen, Try, Work
from appserver.modules.registry import AnyModule

MODULES: Mapping[str, AnyModule] = {module.type: module for module in builtin_modules()}


def seen(
    *answers: Any,
    work: Mapping[str, Work] | None = None,
    loaded: Mapping[str, Any] | None = None,
    tries: Sequence[Try] = (),
) -> Seen:
    """Return what a module has seen."""
    return Seen(
        run_id="wf_1",
        project="p",
        module="m",
        number=1,
        seed=5,
        now=datetime(2026, 1, 1, tzinfo=UTC),
        answers=tuple(Answer(interaction_id=f"int_{number}", response=one) for number, one in enumerate(answers)),
        work=work or {},
        loaded=loaded or {},
        tries=tuple(tries),
    )


def decided(type_: str, inputs: Mapping[str, Any], happened: Seen | None = None) -> Effect:
    """Return what the shipped module of this type decides."""
    module = MODULES[type_]
    effect: Effect = module.decide(module.Inputs.model_validate(dict(inputs)), happened or seen())
    return effect


def outputs(type_: str, inputs: Mapping[str, Any], happened: Seen | None = None) -> Mapping[str, Any]:
    """Return the outputs of the shipped module of this type, which must be done."""
    effect = decided(type_, inputs, happened)
    assert isinstance(effect, Done), effect
    return effect.outputs


def failure(type_: str, inputs: Mapping[str, Any], happened: Seen | None = None) -> Fail:
    """Return the failure of the shipped module of this type."""
    effect = decided(type_, inputs, happened)
    assert isinstance(effect, Fail), effect
    return effect


def answer_problems(type_: str, inputs: Mapping[str, Any], response: Any, happened: Seen) -> Sequence[FieldProblem]:
    """Return what the shipped module of this type says against an answer."""
    module = MODULES[type_]
    return module.check_answer(module.Inputs.model_validate(dict(inputs)), happened, response)
