"""Many parts of a module: a decision costs what it changes, and what the module sees is what is in the log."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from appdb.models import RunStatus
from appserver.engine.core.place import place_of
from appserver.engine.core.try_work import SeenWork, TryWork
from appserver.engine.core.ways_back import RetryFailed
from appserver.modules.builtin import host_registry
from appserver.modules.standing import Standing, standing_of
from appserver.testing import Fails, Harness
from appsupport.workflows.core_world import CoreWorld, definition_with

PART: dict[str, Any] = {"id": "part", "type": "task.run@1", "in": {"actor": "work", "payload": {"say": "{{ item }}"}}}


def map_of(count: int, **more: Any) -> dict[str, Any]:
    inputs = {"items": "{{ input.items }}", "run": PART, "complete_when": {"tolerated_failures": count}, **more}
    return {"id": "all", "type": "flow.map@1", "in": inputs}


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions of Python are called: on a busy machine too, the same each time."""
    counted = Counter[str]()

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        counted[event] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted["call"]


def harness(count: int, at_once: int, *, fails: bool) -> Harness:
    definition = {"name": "many", "steps": [{"id": "only", "modules": [map_of(count, at_once=at_once)]}]}
    made = Harness(definition, input={"items": [f"item {number}" for number in range(count)]})
    return made.fails("work", Fails(message="no")) if fails else made.gives("work", {"said": True})


@pytest.mark.parametrize("fails", [False, True])
def test_four_times_the_parts_take_little_more_than_four_times_the_work(fails: bool) -> None:
    few, many = [calls_of(harness(count, 10, fails=fails).run) for count in (40, 160)]

    assert many < 5 * few


def test_each_part_is_done_once_whatever_ends_first() -> None:
    outcome = harness(200, 100, fails=False).run()

    assert outcome.status is RunStatus.COMPLETED
    assert len({task.id for task in outcome.tasks}) == len(outcome.tasks) == 200
    assert Counter(event.type.value for event in outcome.events)["sub_action_completed"] == 200


def begun(count: int) -> CoreWorld:
    """Return a map all of whose parts are at work."""
    registry = host_registry()
    definition = definition_with(map_of(count, at_once=count))
    world = CoreWorld(definition, registry, {"items": list(range(count))}, crashing=False)
    world.look()
    return world


def work_of(world: CoreWorld) -> SeenWork:
    state, place = world.state, place_of(world.definition, "all")
    assert place is not None
    start = place.started(state)
    assert start is not None
    return TryWork(state, place, start).seen()


def test_standing_is_that_of_each_call() -> None:
    world = begun(5)
    first, second, third = list(world.open_tasks)[:3]
    world.finish(first, {"said": 1})
    world.finish(second, error={"code": "rejected", "message": "no"})
    world.finish(third, error={"code": "cancelled", "message": "no"})
    world.look()

    work = work_of(world)

    assert list(work) == ["0", "1", "2", "3", "4"]
    assert work.standing == standing_of(dict(work)) == Standing(open=2, succeeded=1, failed=2)
    assert (work["0"].kind, work["0"].state, work["0"].id) == ("task", "completed", first)
    assert work["0"].result
    assert work["2"].state == "cancelled"
    assert "5" not in work
    assert work.get("5") is None


def test_parts_that_a_retry_keeps_count_and_others_do_not() -> None:
    world = begun(4)
    for number, task_id in enumerate(list(world.open_tasks)):
        if number % 2:
            world.finish(task_id, {"said": number})
        else:
            world.finish(task_id, error={"code": "rejected", "message": "no"})
        if number == 2:
            world.look()
    world.look()

    world.go_back(RetryFailed(module="all"))

    work = work_of(world)
    assert {key: one.state for key, one in work.items()} == {
        "1": "completed",
        "3": "completed",
        "0": "open",
        "2": "open",
    }
    assert work.standing == Standing(open=2, succeeded=2, failed=0)
