"""``user.select``: one, several, in groups, with what was had lately, and a way back."""

from __future__ import annotations

from typing import Any

import pytest

from appserver.modules.contract import Ask, Done, GoBack, Load, LoadOptions, Question, SaveOptions
from appserver.modules.json_schemas import misfits
from appsupport.modules import answer_problems, decided, failure, outputs, seen

ITEMS: dict[str, Any] = {"title": "T", "items": [{"label": "a", "n": 1}, {"label": "b"}, "c"]}
GROUPS: dict[str, Any] = {
    "title": "T",
    "groups": [{"title": "G", "items": ["a", "b"], "min": 1, "max": 1}, {"title": "H", "items": ["c"]}],
    "min": 1,
    "max": 3,
}


def question(inputs: dict[str, Any]) -> Question:
    effect = decided("user.select@1", inputs)
    assert isinstance(effect, Ask), effect
    return effect.question


def test_one_item_is_given() -> None:
    found = outputs("user.select@1", ITEMS, seen({"selected": [0]}))

    assert (found["indices"], found["first"], found["custom"]) == ([0], {"label": "a", "n": 1}, None)


def test_items_have_labels() -> None:
    data = question(ITEMS).data

    assert isinstance(data, dict)
    assert data["labels"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "answer", [{"selected": []}, {"selected": [3]}, {"selected": [0, 1]}, {"selected": [True]}, {}]
)
def test_other_answers_do_not_fit(answer: dict[str, object]) -> None:
    assert misfits(question(ITEMS).schema, answer)


def test_several_come_in_order_of_choice() -> None:
    assert outputs("user.select@1", ITEMS | {"max": 3}, seen({"selected": [2, 0]}))["selected"] == [
        "c",
        ITEMS["items"][0],
    ]


def test_groups_have_limits_of_their_own() -> None:
    assert not answer_problems("user.select@1", GROUPS, {"selected": [1, 2]}, seen())
    assert "G: pick 1 to 1, not 2" in answer_problems("user.select@1", GROUPS, {"selected": [0, 1]}, seen())[0].message
    assert answer_problems("user.select@1", GROUPS, {"selected": [2]}, seen())[0].pointer == "/selected"


def test_text_of_ones_own_is_taken() -> None:
    inputs = ITEMS | {"custom": True}

    assert not misfits(question(inputs).schema, {"custom": "mine"})
    assert outputs("user.select@1", inputs, seen({"custom": "mine"}))["first"] == "mine"


def test_nothing_to_pick_from_is_told() -> None:
    assert "0 items" in failure("user.select@1", {"title": "T"}).message


def test_feedback_sends_run_back() -> None:
    inputs = ITEMS | {"go_back": [{"module": "write", "branch": True}]}

    assert not misfits(question(inputs).schema, {"go_back": "write", "feedback": "other"})
    assert decided("user.select@1", inputs, seen({"go_back": "write", "feedback": "other"})) == GoBack(
        module="write", feedback={"message": "other"}, branch=True
    )


def test_picked_items_are_remembered() -> None:
    inputs = ITEMS | {"remember": True}
    effect = decided("user.select@1", inputs, seen({"selected": [1]}))
    asked = decided("user.select@1", inputs, seen(loaded={"recent": ["b"]}))

    assert decided("user.select@1", inputs) == Load(requests=(LoadOptions(key="recent"),))
    assert isinstance(asked, Ask)
    assert isinstance(asked.question.data, dict)
    assert asked.question.data["recent"] == ["b"]
    assert isinstance(effect, Done)
    assert effect.writes == (SaveOptions(options=("b",)),)
