"""The engine's contract: what workflows do in the harness, they do over a database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import JsonValue

from appdb import Database
from appdb.models import RunStatus
from appsupport.workflows.engine_worlds import EngineWorld, Facts, HarnessWorld, RealWorld, Worker

Act = Callable[[EngineWorld], Awaitable[None]]


def module(name: str, kind: str, **more: Any) -> dict[str, Any]:
    inputs = more.pop("inputs", {})
    return {"id": name, "type": kind, "in": inputs, **more}


def work(name: str, payload: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return module(name, "task.run@1", inputs={"actor": "work", "payload": dict(payload)}, **more)


def ask(name: str, **more: Any) -> dict[str, Any]:
    inputs = {"title": name, **more.pop("inputs", {})}
    return module(name, "user.text_input@1", inputs=inputs, **more)


def answers(*responses: JsonValue) -> tuple[Act, ...]:
    def one(response: JsonValue) -> Act:
        return lambda world: world.answer(response)

    return tuple(map(one, responses))


def echo(payload: Mapping[str, JsonValue]) -> JsonValue:
    return {"echo": payload["say"]}


def fails_on(word: str) -> Worker:
    def worker(payload: Mapping[str, JsonValue]) -> JsonValue:
        if payload["say"] == word:
            raise ValueError(f"cannot say {word}")
        return {"echo": payload["say"]}

    return worker


def fails_at_first() -> Worker:
    said: list[Mapping[str, JsonValue]] = []

    def worker(payload: Mapping[str, JsonValue]) -> JsonValue:
        said.append(payload)
        if len(said) == 1:
            raise ValueError("not yet")
        return {"echo": payload["say"]}

    return worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A workflow, what is done to it, and what becomes of it."""

    modules: tuple[dict[str, Any], ...]
    does: tuple[Act, ...] = ()
    worker: Callable[[], Worker] = lambda: echo
    output: dict[str, Any] = field(default_factory=dict)
    given: dict[str, JsonValue] = field(default_factory=dict)
    status: RunStatus = RunStatus.COMPLETED
    gives: JsonValue = None
    question: str | None = None
    error: str | None = None
    done: tuple[str, ...] | None = None
    waits: tuple[str, ...] = ()
    payloads: int | None = None


ITEMS = {"items": [1, 2, 3], "at_once": 2, "run": work("one", {"say": "{{ item }}"})}
CASES = {
    "an answer goes on": Case(
        modules=(ask("name"), work("greet", {"say": "hello {{ modules.name.value }}"})),
        does=answers({"value": "Ada"}),
        output={"said": "{{ modules.greet.result.echo }}"},
        gives={"said": "hello Ada"},
        payloads=1,
    ),
    "a question waits": Case(
        modules=(ask("name"),),
        status=RunStatus.AWAITING_INPUT,
        question="name",
        done=(),
        waits=("interaction of name",),
    ),
    "a silent worker is waited for": Case(
        modules=(work("greet", {"say": "x"}),),
        worker=lambda: lambda _: None,
        status=RunStatus.PROCESSING,
        done=(),
        waits=("task of greet",),
        payloads=1,
    ),
    "a false condition skips": Case(
        modules=(
            ask("name", when={"path": "input.ask", "op": "eq", "value": True}),
            work("greet", {"say": {"$ref": "modules.name.value", "default": "you"}}),
        ),
        given={"ask": False},
        output={"said": "{{ modules.greet.result.echo }}"},
        gives={"said": "you"},
        done=("name", "greet"),
    ),
    "a failed task stops the run": Case(
        modules=(work("greet", {"say": "bad"}),),
        worker=lambda: fails_on("bad"),
        status=RunStatus.ERROR,
        error="retryable",
        done=(),
    ),
    "a failed task is tried again": Case(
        modules=(work("greet", {"say": "hi"}, retry={"max_attempts": 2, "delay_seconds": 0.2}),),
        worker=fails_at_first,
        done=("greet",),
        payloads=2,
    ),
    "an error may be passed over": Case(
        modules=(
            work("greet", {"say": "bad"}, on_error="skip"),
            work("after", {"say": {"$ref": "modules.greet.result.echo", "default": "none"}}),
        ),
        worker=lambda: fails_on("bad"),
        output={"said": "{{ modules.after.result.echo }}"},
        gives={"said": "none"},
    ),
    "a map keeps the order of its items": Case(
        modules=(module("all", "flow.map@1", inputs=ITEMS),),
        output={"said": "{{ modules.all.results.2.result.echo }}", "count": "{{ modules.all.succeeded }}"},
        gives={"said": 3, "count": 3},
        payloads=3,
    ),
    "a map tolerates failures": Case(
        modules=(module("all", "flow.map@1", inputs={**ITEMS, "complete_when": {"tolerated_failures": 1}}),),
        worker=lambda: fails_on(2),  # type: ignore[arg-type]
        output={"count": "{{ modules.all.succeeded }}"},
        gives={"count": 2},
    ),
    "a map fails with one failure too many": Case(
        modules=(module("all", "flow.map@1", inputs=ITEMS),),
        worker=lambda: fails_on(2),  # type: ignore[arg-type]
        status=RunStatus.ERROR,
        done=(),
    ),
    "items may be runs with questions": Case(
        modules=(
            module(
                "all",
                "flow.map@1",
                inputs={
                    "items": ["a"],
                    "run": [ask("name"), work("one", {"say": "{{ item }} {{ modules.name.value }}"})],
                },
            ),
        ),
        does=answers({"value": "b"}),
        output={"said": "{{ modules.all.results.0.one.result.echo }}"},
        gives={"said": "a b"},
    ),
    "time passes": Case(
        modules=(module("rest", "flow.wait@1", inputs={"seconds": 0.3}), work("greet", {"say": "hi"})),
        done=("rest", "greet"),
    ),
    "a message before its wait is kept": Case(
        modules=(ask("name"), module("paid", "flow.signal@1", inputs={"name": "paid"})),
        does=(lambda world: world.signal("paid", {"by": "card"}), *answers({"value": "x"})),
        done=("name", "paid"),
    ),
    "a message is waited for": Case(
        modules=(module("paid", "flow.signal@1", inputs={"name": "paid"}),),
        does=(lambda world: world.signal("other", None),),
        status=RunStatus.PROCESSING,
        done=(),
        waits=("signal of paid",),
    ),
    "an answer goes back with feedback": Case(
        modules=(work("write", {"say": "x"}), ask("good", inputs={"go_back": [{"module": "write"}]})),
        does=answers({"go_back": "write", "feedback": "louder"}, {"value": "yes"}),
        done=("write", "good"),
        payloads=2,
    ),
    "an answer opens a branch": Case(
        modules=(work("write", {"say": "x"}), ask("good", inputs={"go_back": [{"module": "write", "branch": True}]})),
        does=answers({"go_back": "write"}, {"value": "yes"}),
        done=("write", "good"),
        payloads=2,
    ),
    "a sub-action makes more while asked": Case(
        modules=(
            module(
                "draw",
                "media.generate@1",
                inputs={
                    "title": "draw",
                    "providers": [
                        {"id": "one", "actor": "work", "queue": "default", "payload": {"say": "x"}, "seed_field": None}
                    ],
                },
            ),
        ),
        worker=lambda: lambda _: {"content_ids": [f"gc_{0:032x}"]},
        does=(lambda world: world.act("draw", "generate", {}), *answers({"content_ids": [f"gc_{0:032x}"]})),
        done=("draw",),
        payloads=2,
    ),
    "a cancelled run stays cancelled": Case(
        modules=(work("greet", {"say": "x"}), ask("name")),
        does=(lambda world: world.cancel(),),
        status=RunStatus.CANCELLED,
        done=("greet",),
        payloads=1,
    ),
    "what is too late is told": Case(
        modules=(ask("name", inputs={"expires_seconds": 1, "default": "nobody"}),),
        output={"name": "{{ modules.name.value }}"},
        gives={"name": "nobody"},
    ),
}


@pytest.fixture(params=["harness", "database"])
async def world(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[EngineWorld]:
    if request.param == "harness":
        yield HarnessWorld()
        return
    async with RealWorld(database) as real:
        yield real


@pytest.mark.parametrize("name", CASES)
async def test_worlds_agree(world: EngineWorld, name: str) -> None:
    case = CASES[name]
    definition = {"name": "case", "steps": [{"id": "only", "modules": list(case.modules)}], "output": case.output}
    if case.given:
        definition["input"] = {"type": "object", "properties": {key: {} for key in case.given}}

    await world.start(definition, case.given, case.worker())
    for act in case.does:
        await world.settled()
        await act(world)
    facts = await world.settled()

    assert (facts.status, facts.error, facts.question) == (case.status, case.error or facts.error, case.question)
    assert facts.output == (case.gives if case.gives is not None else facts.output)
    assert facts.waits == case.waits
    assert (facts.error is None) == (case.status is not RunStatus.ERROR)
    _check_the_rest(case, facts)


def _check_the_rest(case: Case, facts: Facts) -> None:
    if case.done is not None:
        assert facts.done == case.done
    if case.payloads is not None:
        assert len(facts.payloads) == case.payloads
