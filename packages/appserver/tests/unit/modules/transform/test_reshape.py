"""``transform.reshape``: new forms, item by item, within their size."""

from __future__ import annotations

from typing import Any

import pytest

from appsupport.computing import least_seconds
from appsupport.modules import failure, outputs

SOURCE = {"scenes": [{"text": "a", "tags": ["x", "y"]}, {"text": "b", "tags": []}]}


def poured(template: Any, **inputs: Any) -> Any:
    return outputs("transform.reshape@1", {"source": SOURCE, "template": template, **inputs})["result"]


def test_items_are_poured_one_by_one() -> None:
    form = {"title": {"$text": [{"$get": "index"}, ". ", {"$get": "scene.text"}]}, "style": {"$get": "context.style"}}

    assert poured({"$each": "source.scenes", "name": "scene", "in": form}, context={"style": "ink"}) == [
        {"title": "0. a", "style": "ink"},
        {"title": "1. b", "style": "ink"},
    ]


def test_inner_list_knows_outer_item() -> None:
    inner = {"$each": "scene.tags", "name": "tag", "in": [{"$get": "scene.text"}, {"$get": "tag"}]}

    assert poured({"$each": "source.scenes", "name": "scene", "in": inner}) == [[["a", "x"], ["a", "y"]], []]


def test_default_stands_for_missing_part() -> None:
    assert poured({"$get": "source.none", "default": None}) is None


def test_inserted_value_is_not_filled_again() -> None:
    source = {"text": {"$get": "context.secret"}}

    assert poured({"$get": "source.text"}, source=source, context={"secret": "s"}) == {"$get": "context.secret"}


@pytest.mark.parametrize(
    "template",
    [
        {"$get": "source.none"},
        {"$get": "source.scenes", "defualt": 1},
        {"$get": 7},
        {"$get": "source..scenes"},
        {"$each": "source", "in": 1},
        {"$each": "source.scenes"},
        {"$each": "source.scenes", "name": 5, "in": 1},
        {"$text": [{"$get": "source.scenes"}]},
        [[[[{"$get": "source"}] * 60] * 60] * 60],
    ],
)
def test_wrong_template_is_told(template: Any) -> None:
    assert (
        "template cannot be filled" in failure("transform.reshape@1", {"source": SOURCE, "template": template}).message
    )


def test_nested_lists_stop_at_their_size() -> None:
    template: Any = 1
    for name in "abcdef":
        template = {"$each": "source.many", "name": name, "in": template}
    inputs = {"source": {"many": [0] * 500}, "template": template}
    problem, seconds = least_seconds(lambda: failure("transform.reshape@1", inputs))

    assert "more than" in problem.message
    assert seconds < 0.3
