"""Work for many items, child runs, time and messages."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import JsonValue

from appdb import DbEventType as E
from appdb.models import NewRunEvent, RunStatus
from appserver.engine.core.causes import Signal
from appserver.engine.core.picture import End
from appserver.engine.core.ways_back import Reset, Retry
from appserver.errors import ActionRefusedError, RunEndedError
from appserver.modules.builtin import host_registry
from appserver.modules.registry import ModuleRegistry
from appsupport.workflows.core_world import CoreWorld, definition_with
from appsupport.workflows.scripted_module import Scripted

MODULES = [*host_registry(), Scripted()]
REGISTRY = ModuleRegistry(MODULES, inline=[one.type for one in MODULES])
DRAW: dict[str, Any] = {"id": "draw", "type": "test.scripted@1", "in": {"plan": [["task", 1]], "given": "{{ item }}"}}
ASK: dict[str, Any] = {"id": "ask", "type": "user.pause@1", "in": {"title": "Is {{ item }} good?"}}


def map_of(run: Any, count: int = 4, **more: Any) -> CoreWorld:
    module = {"id": "all", "type": "flow.map@1", "in": {"items": "{{ input.items }}", "run": run, **more}}
    output = {"results": "{{ modules.all.results }}", "failures": "{{ modules.all.failures }}"}
    items: dict[str, JsonValue] = {"items": [f"item {number}" for number in range(count)]}
    world = CoreWorld(definition_with(module, output=output), REGISTRY, items, crashing=count < 10)
    world.look()
    return world


def given(results: list[Any]) -> list[Any]:
    return [None if one is None else one["given"] for one in results]


def test_map_keeps_so_many_tasks_at_once() -> None:
    world = map_of(DRAW, at_once=2)
    assert len(world.open_tasks) == 2
    world.finish_first({})
    assert len(world.open_tasks) == 2
    assert {task.sub_action_id for task in world.open_tasks.values()} == {"all/1", "all/2"}


def test_results_are_in_order_of_items() -> None:
    world = map_of(DRAW)
    for task_id in reversed(list(world.open_tasks)):
        world.finish(task_id, {})
        world.look()
    assert given(world.output["results"]) == ["item 0", "item 1", "item 2", "item 3"]


def test_enough_successes_complete_and_stop_the_rest() -> None:
    world = map_of(DRAW, complete_when={"min_success": 2, "tolerated_failures": 4})
    left = list(world.open_tasks)[2:]
    world.finish_first({})
    world.finish_first({})
    assert given(world.output["results"]) == ["item 0", "item 1", None, None]
    assert world.cancelled == left


def test_failure_beyond_tolerance_fails_map_and_stops_rest() -> None:
    world = map_of(DRAW, complete_when={"tolerated_failures": 1})
    world.finish_first(error={"code": "rejected", "message": "no"})
    assert world.status is RunStatus.PROCESSING
    world.finish_first(error={"code": "rejected", "message": "not this"})
    assert world.line[-1].data["error"]["code"] == "rejected"
    assert world.line[-1].data["error"]["problems"][0] == {"pointer": "/items/0", "message": "no"}
    assert not world.open_tasks


def test_tolerated_failure_leaves_null() -> None:
    world = map_of(DRAW, count=2, complete_when={"tolerated_failures": 1})
    world.finish_first(error={"code": "bug", "message": "no"})
    world.finish_first({})
    assert given(world.output["results"]) == [None, "item 1"]
    assert world.output["failures"] == [{"index": 0, "code": "bug", "message": "no"}]


def test_map_of_nothing_gives_nothing() -> None:
    assert map_of(DRAW, count=0).output == {"results": [], "failures": []}


def test_list_of_modules_is_a_child_run_for_each_item() -> None:
    world = map_of([DRAW, ASK], count=2)
    assert [wait.kind for wait in world.state.waiting_on] == ["child", "child"]
    world.run_children()
    for child in world.children.values():
        child.finish_first({})
        assert child.state.pending is not None
        child.answer({"confirmed": True})
    world.run_children()
    assert [one["draw"]["given"] for one in world.output["results"]] == ["item 0", "item 1"]


def test_module_that_asks_is_a_child_run_for_each_item() -> None:
    world = map_of(ASK, count=2)
    world.run_children()
    titles = [child.state.pending.data["title"] for child in world.children.values() if child.state.pending]
    assert titles == ["Is item 0 good?", "Is item 1 good?"]
    for child in world.children.values():
        child.answer({"confirmed": True})
    world.run_children()
    assert world.output["results"] == [{"confirmed": True}, {"confirmed": True}] or world.output["results"]


def test_large_items_are_begun_over_many_decisions() -> None:
    large = DRAW | {"in": {"plan": [["task", 1]], "given": ["{{ item }}"] * 9_000}}
    world = map_of(large, count=30, at_once=30)
    assert len(world.open_tasks) == 30
    assert world.decided > 5


def test_child_that_has_ended_is_not_cancelled() -> None:
    world = map_of(ASK, count=2)
    world.run_children()
    first, second = world.children
    world.ends[first] = End(kind="child", state="completed", result={})
    assert world.plan(Retry(module="all")).children_stop == (second,)


def test_childs_end_wakes_its_parent() -> None:
    world = map_of(ASK, count=1)
    world.run_children()
    child = next(iter(world.children.values()))
    child.answer({"confirmed": True})
    assert [task.payload for task in child.tasks.values()] == [{"run_id": "wf_trial"}]


def test_child_finds_what_its_modules_refer_to() -> None:
    first = {"id": "first", "type": "test.scripted@1", "in": {"given": 7}, "out": {"seven": "given"}}
    inner = {"id": "inner", "type": "test.scripted@1", "in": {"given": "{{ modules.first.given }}{{ state.seven }}"}}
    child = {"id": "child", "type": "flow.child@1", "in": {"run": [inner]}}
    world = CoreWorld(definition_with(first, child, output={"got": "{{ modules.child.output }}"}), REGISTRY)
    world.look()
    world.run_children()
    assert world.output["got"]["inner"]["given"] == "77"


def test_failed_child_fails_module_with_its_class() -> None:
    inner = {"id": "inner", "type": "test.scripted@1", "in": {"plan": [["fail", "rejected"]]}}
    world = CoreWorld(definition_with({"id": "child", "type": "flow.child@1", "in": {"run": [inner]}}), REGISTRY)
    world.look()
    world.run_children()
    assert world.line[-1].data["error"]["code"] == "rejected"


def test_wait_goes_on_when_timer_fires() -> None:
    world = CoreWorld(definition_with({"id": "rest", "type": "flow.wait@1", "in": {"seconds": 60}}), REGISTRY)
    world.look()
    assert [wait.kind for wait in world.state.waiting_on] == ["timer"]
    world.fire_first()
    assert world.output == {}


def test_wait_for_time_that_is_over_fires_at_once() -> None:
    until = {"until": "2029-12-31T23:00:00+00:00"}
    world = CoreWorld(definition_with({"id": "rest", "type": "flow.wait@1", "in": until}), REGISTRY)
    world.look()
    assert not next(iter(world.open_timers.values())).delay


SIGNAL = {
    "id": "wait",
    "type": "flow.signal@1",
    "in": {"name": "paid", "schema": {"type": "integer"}, "timeout_seconds": 60},
}


@pytest.mark.parametrize("before", [True, False])
def test_message_is_taken_also_when_it_came_before(before: bool) -> None:
    world = CoreWorld(
        definition_with(ASK | {"in": {"title": "x"}}, SIGNAL, output={"got": "{{ modules.wait }}"}), REGISTRY
    )
    world.look()
    paid = Signal(name="paid", signal_id="sig_1", payload=5)
    if before:
        world.cause(paid)
        assert not world.cause(paid)
        world.answer({"confirmed": True})
    else:
        world.answer({"confirmed": True})
        world.cause(paid)
    assert world.output["got"] == {"received": True, "payload": 5, "refused": 0}
    with pytest.raises(RunEndedError):
        world.cause(paid)


def test_waiting_run_keeps_messages_and_does_nothing_else_until_it_begins() -> None:
    world = CoreWorld(definition_with(SIGNAL, output={"got": "{{ modules.wait }}"}), REGISTRY)
    world.append([NewRunEvent(type=E.WORKFLOW_WAITING)])
    assert not world.look()
    kept = world.cause(Signal(name="paid", signal_id="sig_1", payload=7))
    assert ([event.type for event in kept], world.state.status) == ([E.SIGNAL_RECEIVED], RunStatus.WAITING)
    with pytest.raises(ActionRefusedError, match="waits for another"):
        world.plan(Reset())

    world.append([NewRunEvent(type=E.WORKFLOW_RESUMED)])
    world.look()
    assert world.output["got"] == {"received": True, "payload": 7, "refused": 0}


def test_message_that_does_not_fit_is_passed_over() -> None:
    world = CoreWorld(definition_with(SIGNAL, output={"got": "{{ modules.wait }}"}), REGISTRY)
    world.look()
    world.cause(Signal(name="paid", signal_id="sig_1", payload="five"))
    world.cause(Signal(name="other", signal_id="sig_2", payload=6))
    world.cause(Signal(name="paid", signal_id="sig_3", payload=7))
    assert world.output["got"] == {"received": True, "payload": 7, "refused": 1}


def test_no_message_in_time_is_told() -> None:
    world = CoreWorld(definition_with(SIGNAL, output={"got": "{{ modules.wait.received }}"}), REGISTRY)
    world.look()
    world.fire_first()
    assert world.output == {"got": False}


def test_thousand_items_are_begun_over_many_decisions() -> None:
    world = map_of(DRAW, count=1000, at_once=100)
    assert len(world.open_tasks) == 100
    for task_id in list(world.open_tasks):
        world.finish(task_id, {})
    world.look()
    assert len(world.open_tasks) == 100
