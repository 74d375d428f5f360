"""A module that does what its inputs say, one thing after the other: every effect, in every order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import (
    Ask,
    Await,
    Call,
    Done,
    Effect,
    ErrorCode,
    Fail,
    GoBack,
    Load,
    LoadFile,
    Module,
    ModuleKind,
    Ports,
    Question,
    SaveFile,
    Seen,
    SignalCall,
    TaskCall,
    TimerCall,
)

ANSWER = {"type": "object", "properties": {"back": {"type": "string"}}}


class ScriptInputs(Ports):
    plan: list[list[JsonValue]] = Field(default_factory=list)
    """Each an effect and what it needs: ``["task", 2]``, ``["ask"]``, ``["fail", "retryable", 2]``."""
    given: JsonValue = None


class ScriptOutputs(Ports):
    given: JsonValue
    number: int
    tries: int
    answers: list[JsonValue]


class Scripted(Module[ScriptInputs, ScriptOutputs]):
    """Does what its inputs say."""

    type = "test.scripted@1"
    kind = ModuleKind.TASK
    Inputs = ScriptInputs
    Outputs = ScriptOutputs
    example: ClassVar[Mapping[str, Any]] = {"plan": [["task", 1]]}

    def decide(self, inputs: ScriptInputs, seen: Seen) -> Effect:
        """Return the first effect of the plan that is not over."""
        answers = list(seen.answers)
        for index, (name, *more) in enumerate(inputs.plan):
            if name == "ask":
                if not answers:
                    return Ask(question=_question(index, more))
                answer = answers.pop(0).response
                if isinstance(answer, dict) and answer.get("back"):
                    branch = bool(answer.get("branch"))
                    return GoBack(module=str(answer["back"]), feedback={"message": "again"}, branch=branch)
            else:
                effect = _effect(str(name), more, index, seen)
                if effect is not None:
                    return effect
        outputs = {"given": inputs.given, "number": seen.number, "tries": len(seen.tries)}
        return Done(
            outputs={**outputs, "answers": [one.response for one in seen.answers]},
            writes=(SaveFile(name="done.json", content=seen.number),),
        )

    def act(self, inputs: ScriptInputs, seen: Seen, action: str, arguments: Mapping[str, JsonValue]) -> Await | Fail:
        """Start one more task."""
        del inputs, arguments
        if action != "more":
            return Fail(code=ErrorCode.MISCONFIGURED, message=f"there is no {action}")
        return Await(calls=(_task(f"more{len(seen.work)}"),))


class ScriptedRepeatable(Scripted):
    """The same; its completions may be reused."""

    type = "test.repeatable@1"
    repeatable = True


def _question(index: int, more: list[JsonValue]) -> Question:
    seconds = more[0] if more and isinstance(more[0], int) else None
    return Question(
        kind="form",
        title=f"Question {index}",
        schema=ANSWER,
        default={"late": True} if more[1:] else None,
        expires_in=None if seconds is None else timedelta(seconds=seconds),
        actions=("more",),
    )


def _effect(name: str, more: list[JsonValue], index: int, seen: Seen) -> Effect | None:
    match name, more:
        case "fail", [code, tries] if seen.number < int(str(tries)):
            return Fail(code=ErrorCode(str(code)), message="as planned")
        case "fail", [code]:
            return Fail(code=ErrorCode(str(code)), message="as planned")
        case "raise", _:
            raise RuntimeError("as planned")
        case "load", _ if f"load{index}" not in seen.loaded:
            return Load(requests=(LoadFile(key=f"load{index}", name="a.json"),))
    calls = tuple(_calls(name, more, index))
    failed = [seen.work[call.key] for call in calls if call.key in seen.work and seen.work[call.key].state == "failed"]
    if failed:
        code = str((failed[0].error or {}).get("code", "retryable"))
        return Fail(code=ErrorCode(code), message="its task failed")
    wants = [call for call in calls if call.key not in seen.work or seen.work[call.key].state == "open"]
    return Await(calls=tuple(wants)) if wants else None


def _calls(name: str, more: list[JsonValue], index: int) -> Iterator[Call]:
    match name, more:
        case "task", [count]:
            yield from (_task(f"task{index}_{one}") for one in range(int(str(count))))
        case "paid", [cost]:
            yield replace(_task(f"paid{index}"), estimate=Decimal(str(cost)))
        case "timer", [seconds]:
            yield TimerCall(key=f"timer{index}", delay=timedelta(seconds=int(str(seconds))))
        case "signal", [sent]:
            yield SignalCall(key=f"signal{index}", name=str(sent))


def _task(key: str) -> TaskCall:
    return TaskCall(key=key, actor="draw", payload={"what": key}, label=key)
