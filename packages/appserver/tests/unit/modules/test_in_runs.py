"""Shipped modules in runs of the engine: feedback, pictures made again, files read back, crashes everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import JsonValue

from appdb.models import RunStatus
from appserver.errors import InvalidAnswerError
from appserver.testing import Fails, Harness, Outcome

A, B, C = ("gc_" + letter * 32 for letter in "abc")


def module(id_: str, type_: str, **inputs: Any) -> dict[str, Any]:
    return {"id": id_, "type": f"{type_}@1", "in": inputs}


def workflow(*modules: Mapping[str, Any], **output: Any) -> dict[str, Any]:
    return {"format": 1, "name": "tale", "steps": [{"id": "only", "modules": list(modules)}], "output": output}


def given(outcome: Outcome, name: str) -> Any:
    """Return what the run gives under this name."""
    assert isinstance(outcome.output, dict), outcome
    return outcome.output[name]


def said(outcome: Outcome, number: int) -> list[Any]:
    """Return what was said to the model by its task with this number."""
    messages: Any = outcome.tasks[number].payload["messages"]
    return [message["content"] for message in messages]


def text(words: str) -> dict[str, JsonValue]:
    return {"text": words, "value": None, "model": "small", "finish_reason": "stop", "usage": {"input_tokens": 1}}


WRITE = module("write", "llm.call", model="small", prompt="Write a title.")
PICK = module(
    "pick",
    "user.select",
    title="Good?",
    items=["{{ modules.write.text }}"],
    go_back=[{"module": "write", "label": "Again"}],
)
DRAW = module(
    "draw",
    "media.generate",
    title="Which picture?",
    seed=7,
    providers=[
        {"id": "ink", "actor": "picture", "payload": {"prompt": "{{ modules.pick.first }}"}, "changeable": ["prompt"]},
        {"id": "oil", "actor": "painter", "payload": {"prompt": "{{ modules.pick.first }}"}},
    ],
)


def test_model_sees_feedback_of_person() -> None:
    script = Harness(workflow(WRITE, PICK, title="{{ modules.pick.first }}"))
    script.gives("llm", text("A crab"), text("The crab"))
    script.answer("pick", {"go_back": "write", "feedback": "more definite"}, {"selected": [0]})
    outcome = script.run()

    assert outcome.output == {"title": "The crab"}
    assert said(outcome, 1) == [
        "Write a title.",
        "A crab",
        "Please do it again, and mind this: more definite",
    ]
    assert script.crash_everywhere() > 0


def drawing() -> Harness:
    script = Harness(
        workflow(WRITE, PICK, DRAW, picture="{{ modules.draw.content_id }}", all="{{ modules.draw.generations }}")
    )
    script.gives("llm", text("The crab")).answer("pick", {"selected": [0]})
    return script.gives("picture", {"content_ids": [A]}, {"content_ids": [C]}).gives("painter", {"content_ids": [B]})


def test_pictures_are_compared_made_again_and_picked() -> None:
    run = drawing().begin()
    first = run.run()
    run.act("draw", "generate", {"provider": "ink", "payload": {"prompt": "darker"}})
    second = run.run()
    outcome = run.answer({"content_ids": [C]}).outcome

    assert first.question is not None
    assert second.question == first.question
    assert [task.payload for task in second.tasks if task.actor == "picture"] == [
        {"prompt": "The crab", "seed": 7},
        {"prompt": "darker", "seed": 8},
    ]
    assert outcome.status is RunStatus.COMPLETED
    assert given(outcome, "picture") == C
    assert [one["key"] for one in given(outcome, "all")] == ["ink.1", "ink.2", "oil.1"]


def test_picture_of_elsewhere_is_no_answer() -> None:
    run = drawing().begin()
    run.run()

    with pytest.raises(InvalidAnswerError, match="not made in this module"):
        run.answer({"content_ids": [C]})
    assert run.outcome.status is RunStatus.AWAITING_INPUT


def test_one_of_two_providers_is_enough() -> None:
    script = Harness(
        workflow(
            DRAW
            | {
                "in": DRAW["in"]
                | {"providers": [{"id": "ink", "payload": {}}, {"id": "oil", "actor": "painter", "payload": {}}]}
            }
        )
    )
    outcome = script.gives("picture", {"content_ids": [A]}).fails("painter", Fails(message="no paint")).run()

    assert outcome.status is RunStatus.AWAITING_INPUT


def test_crash_anywhere_makes_no_picture_twice() -> None:
    assert drawing().answer("draw", {"content_ids": [B]}).crash_everywhere() > 3


def test_file_of_module_before_is_read() -> None:
    script = Harness(
        workflow(
            module("save", "io.save", name="a.json", content={"n": 1}),
            module("load", "io.load", name="a.json"),
            module("again", "io.save", name="a.json", content={"n": 2}),
            module("newer", "io.load", name="a.json"),
            first="{{ modules.load.content.n }}",
            second="{{ modules.newer.content.n }}",
        )
    )

    assert script.run().output == {"first": 1, "second": 2}
    assert script.crash_everywhere() > 0


def test_rows_of_query_are_given() -> None:
    script = Harness(workflow(module("rows", "db.query", name="recent_runs"), count="{{ modules.rows.count }}"))

    assert script.query("recent_runs", [{"id": 1}, {"id": 2}]).run().output == {"count": 2}


def test_feedback_is_remembered_over_tries() -> None:
    script = Harness(workflow(WRITE, PICK, title="{{ modules.pick.first }}"))
    script.gives("llm", text("A crab"), text("The crab"), text("Crabs"))
    script.answer("pick", {"go_back": "write", "feedback": "definite"}, {"go_back": "write"}, {"selected": [0]})

    assert said(script.run(), 2) == [
        "Write a title.",
        "A crab",
        "Please do it again, and mind this: definite",
        "The crab",
        "Please do it again, in another way.",
    ]


def test_module_may_send_run_back_to_itself() -> None:
    script = Harness(workflow(module("topic", "user.text_input", title="T", go_back=[{"module": "topic"}]), WRITE))
    script.answer("topic", {"go_back": "topic", "feedback": "again"}, {"value": "x"}).gives("llm", text("A crab"))

    assert script.run().status is RunStatus.COMPLETED
