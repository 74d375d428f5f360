"""The contract of modules, held by each that is shipped; and a kit that finds what breaks it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from appserver.modules.builtin import BUILTIN, builtin_modules
from appserver.modules.contract import Await, Done, Effect, Module, ModuleKind, Ports, Seen, TaskCall, Try
from appserver.modules.registry import AnyModule
from appserver.testing import module_contract

CONTENT = "gc_" + "0" * 32
FEEDBACK = Try(outputs={"text": "An earlier text"}, feedback={"message": "shorter"})
SCRIPTS: Mapping[str, dict[str, Any]] = {
    "db.query@1": {"loaded": {"rows": {"rows": [{"id": 1}]}}},
    "http.fetch@1": {"results": {"request": {"status": 200, "body": {"a": 1}, "content_type": "application/json"}}},
    "io.load@1": {"loaded": {"file": "text"}},
    "io.weighted_keywords@1": {
        "inputs": [{"mode": "load"}],
        "loaded": {"keywords": [{"keyword": "sea", "weight": 1.5}]},
    },
    "llm.call@1": {
        "results": {"call": {"text": '{"text": "x"}', "value": {"text": "x"}, "model": "m", "finish_reason": "stop"}},
        "tries": [FEEDBACK, Try(outputs=None, feedback=None)],
    },
    "media.generate@1": {
        "inputs": [
            {"title": "T", "providers": [{"id": "a", "payload": {}}, {"id": "b", "payload": {}}], "ask": False},
            {"title": "T", "providers": [{"id": "a", "payload": {"prompt": "p"}, "feedback_field": "prompt"}]},
        ],
        "answers": [{"content_ids": [CONTENT]}],
        "results": {"drawn.1": {"content_ids": [CONTENT], "seed": 7}},
        "tries": [FEEDBACK],
    },
    "user.file_input@1": {
        "answers": [{"content_id": CONTENT}],
        "loaded": {CONTENT: {"kind": "image", "media_type": "image/png", "bytes": 100, "filename": "pet.png"}},
    },
    "user.select@1": {"inputs": [{"title": "T", "items": ["a", "b"], "remember": True, "custom": True}]},
}


@pytest.mark.parametrize("module", builtin_modules(), ids=lambda module: module.type)
def test_shipped_module_keeps_contract(module: AnyModule) -> None:
    effects = module_contract(module, **SCRIPTS.get(module.type, {}))

    assert isinstance(effects[-1], Done), effects[-1]


def test_shipped_types_are_unique() -> None:
    assert len(BUILTIN) == len(builtin_modules())


class EchoInputs(Ports):
    """A text."""

    text: str


class Echo(Module[EchoInputs, EchoInputs]):
    """Gives its text."""

    type = "test.echo@1"
    kind = ModuleKind.INLINE
    Inputs = EchoInputs
    Outputs = EchoInputs
    example: ClassVar[Mapping[str, Any]] = {"text": "x"}
    does: ClassVar[Callable[[EchoInputs, Seen], Any]] = lambda inputs, seen: Done(outputs={"text": inputs.text})  # noqa: ARG005

    def decide(self, inputs: EchoInputs, seen: Seen) -> Effect:
        """Do what the test says."""
        return type(self).does(inputs, seen)  # type: ignore[no-any-return]


class OpenPorts(BaseModel):
    text: str


def slow(_inputs: EchoInputs, _seen: Seen) -> Effect:
    until = time.process_time() + 0.08
    while time.process_time() < until:
        pass
    return Done(outputs={"text": "x"})


def reading(_inputs: EchoInputs, _seen: Seen) -> Effect:
    return Done(outputs={"text": Path(__file__).read_text(encoding="utf-8")[:1]})


def greedy(inputs: EchoInputs, seen: Seen) -> Effect:
    call = TaskCall(key="a", actor="x", payload={})
    return Done(outputs={"text": inputs.text}) if seen.work["a"].result else Await(calls=(call,))


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"does": lambda *_: Done(outputs={"text": str(random.random())})}, "different effects"),
        ({"does": lambda *_: Done(outputs={"text": str(time.time_ns())})}, "different effects"),
        ({"does": lambda *_: Done(outputs={"other": "x"})}, "do not fit Outputs"),
        ({"does": lambda *_: Done(outputs={"text": b"x"})}, "no JSON"),
        ({"does": lambda *_: None}, "no effect"),
        ({"does": lambda *_: Await(calls=())}, "no call"),
        ({"does": lambda *_: Await(calls=(TaskCall(key="a", actor="x", payload={}),) * 2)}, "the same key"),
        ({"does": greedy}, "decide raises KeyError"),
        ({"does": slow}, "at most 50 ms"),
        ({"does": reading}, "reads or writes outside"),
        ({"type": "echo"}, "major version"),
        ({"example": {"txet": "x"}}, "does not fit Inputs"),
        ({"Outputs": OpenPorts}, "no subclass of Ports"),
        ({"__doc__": None}, "docstring"),
        ({"act": lambda *_: Await(calls=())}, "takes an action"),
    ],
)
def test_kit_names_each_breach(broken: dict[str, Any], told: str) -> None:
    module = type("Broken", (Echo,), {"__doc__": Echo.__doc__, **broken})()

    with pytest.raises(AssertionError, match=told):
        module_contract(module)


def test_kit_passes_plain_module() -> None:
    assert module_contract(Echo(), inputs=[{"text": ""}]) == [Done(outputs={"text": "x"})]
