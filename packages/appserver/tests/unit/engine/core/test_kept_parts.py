"""Parts that stay when their module begins again: each is held by its item, and only items of now count."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from appdb.models import RunStatus
from appserver.engine.core.ways_back import Jump, Move, Retry, RetryFailed, Switch
from appserver.engine.definition.model import Definition
from appserver.modules.builtin import host_registry
from appserver.modules.registry import ModuleRegistry
from appsupport.workflows.core_world import CoreWorld, definition_with

REGISTRY = ModuleRegistry(host_registry(), inline=[one.type for one in host_registry()])
ASK = {"id": "first", "type": "user.pause@1", "in": {"title": "Go on?"}}
TASK = {
    "id": "draw",
    "type": "task.run@1",
    "in": {"actor": "draw", "payload": {"say": "{{ item }}"}, "estimate": "0.25"},
}
RUNS: dict[str, Any] = {"parts": TASK, "child runs": [TASK]}
LETTERS = ("a", "b", "c", "d")


def definition(items: Sequence[Any], run: Any = TASK, **more: Any) -> Definition:
    each = {"id": "all", "type": "flow.map@1", "in": {"items": [*items], "run": run, **more}}
    return definition_with(ASK, each, output={"results": "{{ modules.all.results }}"})


def world_of(items: Sequence[Any], run: Any = TASK, **more: Any) -> CoreWorld:
    world = CoreWorld(definition(items, run, **more), REGISTRY)
    world.look()
    world.answer({"confirmed": True})
    world.run_children()
    return world


def say(world: CoreWorld, *items: Any, fail: bool = False) -> None:
    """Do the open tasks of these items."""
    error = {"code": "rejected", "message": "no"} if fail else None
    for one in (world, *world.children.values()):
        for task_id, task in list(one.open_tasks.items()):
            if task.payload["say"] in items:
                one.finish(task_id, {"said": task.payload["say"]}, error)
        one.look()
    world.run_children()


def asked(world: CoreWorld) -> list[Any]:
    """Return the items whose tasks are open."""
    worlds = (world, *(child for name, child in world.children.items() if name not in world.cancelled))
    return sorted(task.payload["say"] for one in worlds for task in one.open_tasks.values())


def said(world: CoreWorld) -> list[Any]:
    """Return what each item gave."""
    results = [one.get("draw", one) if one else None for one in world.output["results"]]
    return [one and one["result"]["said"] for one in results]


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize(
    ("items", "again"),
    [
        (("a", "b"), ["b"]),
        (("b", "a"), ["a", "b"]),
        (("a", "c", "d"), ["c", "d"]),
        ((*LETTERS, "e"), ["b", "d", "e"]),
        (("a",), []),
    ],
    ids=["shorter", "in another order", "one left out", "longer", "one alone"],
)
def test_moved_map_does_what_its_items_lack(run: Any, items: Sequence[str], again: list[str]) -> None:
    world = world_of(LETTERS, run)
    say(world, "a", "c")

    planned = world.go_back(Move(version_id="ver_2", definition=definition(items, run)))
    world.run_children()

    assert asked(world) == again
    # What had not begun is no work that is done again.
    assert len(planned.work_again) == len([one for one in again if one != "e"])
    say(world, *items)
    assert said(world) == [*items]


def test_moved_map_is_not_failed_by_parts_that_are_gone() -> None:
    world = world_of(LETTERS, complete_when={"tolerated_failures": 1})
    say(world, "d", fail=True)

    world.go_back(Move(version_id="ver_2", definition=definition(LETTERS[:3], complete_when={"tolerated_failures": 1})))
    say(world, "a", fail=True)
    assert world.status is RunStatus.PROCESSING
    say(world, "b", "c")

    assert said(world) == [None, "b", "c"]


def test_failed_items_of_edited_inputs_are_tried_again_with_these() -> None:
    world = world_of(LETTERS)
    world.go_back(Retry(module="all", inputs={"items": ["x", "y"]}))
    say(world, "x")
    say(world, "y", fail=True)

    planned = world.go_back(RetryFailed(module="all"))

    assert (asked(world), planned.estimated_cost) == (["y"], Decimal("0.25"))
    say(world, "y")
    assert said(world) == ["x", "y"]


def test_failed_items_are_those_of_last_try() -> None:
    """An earlier try had more items, of which some had failed and some were done."""
    world = world_of(LETTERS, complete_when={"tolerated_failures": 3})
    say(world, "c")
    say(world, "d", fail=True)
    world.go_back(Retry(module="all", inputs={"items": ["x", "y"]}))
    say(world, "x")
    say(world, "y", fail=True)

    planned = world.go_back(RetryFailed(module="all"))

    assert (asked(world), len(planned.work_again)) == (["y"], 1)
    say(world, "y")
    assert said(world) == ["x", "y"]


def test_branch_that_is_returned_to_counts_items_of_now() -> None:
    world = world_of(LETTERS)
    say(world, "a", "c")
    old, line, state = world.branch_id, world.line[-1].seq, world.state
    world.go_back(Jump(module="first"))
    world.go_back(Move(version_id="ver_2", definition=definition(LETTERS[:2])))

    planned = world.go_back(Switch(branch_id=old, seq=line, state=state))

    assert (asked(world), planned.estimated_cost) == (["b"], Decimal("0.25"))
    say(world, "b")
    assert said(world) == ["a", "b"]
