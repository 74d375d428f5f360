"""``media.generate``: make, compare, make again, pick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from appserver.modules.contract import Ask, Await, Fail, GoBack, TaskCall, Try, Work
from appsupport.modules import MODULES, answer_problems, decided, failure, outputs, seen

A, B, C = ("gc_" + letter * 32 for letter in "abc")
INPUTS: dict[str, Any] = {
    "title": "Which picture?",
    "providers": [
        {"id": "ink", "payload": {"prompt": "p"}, "changeable": ["prompt"], "feedback_field": "prompt"},
        {"id": "oil", "actor": "painter", "queue": "gpu", "payload": {"prompt": "p"}, "seed_field": None},
    ],
    "seed": 7,
}


def made(*content_ids: str) -> Work:
    return Work(kind="task", state="completed", id="tq_1", result={"content_ids": list(content_ids)})


BROKEN = Work(kind="task", state="failed", id="tq_2", error={"code": "rejected", "message": "no"})
OPEN = Work(kind="task", state="open", id="tq_3")
BOTH = {"ink.1": made(A), "oil.1": made(B)}


def calls(effect: object) -> Mapping[str, TaskCall]:
    assert isinstance(effect, Await), effect
    return {call.key: call for call in effect.calls if isinstance(call, TaskCall)}


def acted(work: Mapping[str, Work], **arguments: Any) -> Await | Fail:
    module = MODULES["media.generate@1"]
    return module.act(module.Inputs.model_validate(INPUTS), seen(work=work), "generate", arguments)


def test_each_provider_makes_one_first() -> None:
    first = calls(decided("media.generate@1", INPUTS))

    assert (first["ink.1"].actor, first["ink.1"].payload) == ("picture", {"prompt": "p", "seed": 7})
    assert (first["oil.1"].queue, first["oil.1"].payload) == ("gpu", {"prompt": "p"})
    assert calls(decided("media.generate@1", INPUTS, seen(work=BOTH | {"oil.1": OPEN}))).keys() == first.keys()


def test_question_stays_while_more_is_made() -> None:
    asked = decided("media.generate@1", INPUTS, seen(work=BOTH))

    assert isinstance(asked, Ask)
    assert asked.question.actions == ("generate",)
    assert decided("media.generate@1", INPUTS, seen(work=BOTH | {"ink.2": OPEN})) == asked
    assert decided("media.generate@1", INPUTS, seen(work=BOTH | {"ink.2": made(C)})) == asked
    assert decided("media.generate@1", INPUTS, seen(work={"ink.1": made(A), "oil.1": BROKEN})) == asked


def test_another_one_has_next_seed() -> None:
    (call,) = calls(acted(BOTH, provider="ink", payload={"prompt": "darker"})).values()

    assert (call.key, call.payload) == ("ink.2", {"prompt": "darker", "seed": 8})
    assert acted(BOTH, provider="ink", payload={"prompt": "darker"}) == Await(calls=(call,))


@pytest.mark.parametrize(
    "arguments", [{"provider": "none"}, {"provider": "ink", "payload": {"seed": 1}}, {"payload": 3}]
)
def test_wrong_action_is_refused(arguments: dict[str, Any]) -> None:
    assert isinstance(acted(BOTH, **arguments), Fail)


def test_generations_are_bounded() -> None:
    assert isinstance(acted({f"ink.{number}": made() for number in range(1, 101)}, provider="ink"), Fail)


def test_picked_content_was_made_here() -> None:
    happened = seen(work=BOTH)

    assert not answer_problems("media.generate@1", INPUTS, {"content_ids": [B]}, happened)
    assert answer_problems("media.generate@1", INPUTS, {"content_ids": [C]}, happened)[0].pointer == "/content_ids/0"


def test_picked_and_all_generations_are_given() -> None:
    work = BOTH | {"ink.2": made(C), "ink.10": BROKEN}
    found = outputs("media.generate@1", INPUTS, seen({"content_ids": [C]}, work=work))

    assert (found["content_id"], found["content_ids"]) == (C, [C])
    assert [(one["key"], one["seed"]) for one in found["generations"]] == [
        ("ink.1", 7),
        ("ink.2", 8),
        ("ink.10", 16),
        ("oil.1", 7),
    ]


def test_all_are_given_without_question() -> None:
    inputs = INPUTS | {"ask": False}

    assert outputs("media.generate@1", inputs, seen(work=BOTH))["content_ids"] == [A, B]
    assert MODULES["media.generate@1"].repeats(MODULES["media.generate@1"].Inputs.model_validate(inputs))


def test_nothing_made_is_failure_of_first() -> None:
    assert "no" in failure("media.generate@1", INPUTS, seen(work={"ink.1": BROKEN, "oil.1": BROKEN})).message


def test_feedback_of_earlier_try_goes_into_prompt() -> None:
    again = decided("media.generate@1", INPUTS, seen(tries=[Try(outputs=None, feedback={"message": "more crabs"})]))

    assert calls(again)["ink.1"].payload["prompt"] == "p\nmore crabs"
    assert calls(again)["oil.1"].payload["prompt"] == "p"


def test_person_goes_back_from_pictures() -> None:
    inputs = INPUTS | {"go_back": [{"module": "write"}]}

    assert decided("media.generate@1", inputs, seen({"go_back": "write"}, work=BOTH)) == GoBack(module="write")
