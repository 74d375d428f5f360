"""Going back: each way does what its plan has said."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from appdb.models import RunStatus
from appserver.engine.core.costs import Spent
from appserver.engine.core.planning import plan
from appserver.engine.core.ways_back import BranchFrom, Jump, Move, Reset, Retry, RetryFailed, Switch
from appserver.errors import ActionRefusedError
from appserver.modules.builtin import host_registry
from appserver.modules.registry import ModuleRegistry
from appsupport.workflows.core_world import CoreWorld, definition_with
from appsupport.workflows.scripted_module import Scripted, ScriptedRepeatable

MODULES = [*host_registry(), Scripted(), ScriptedRepeatable()]
REGISTRY = ModuleRegistry(MODULES, inline=[one.type for one in MODULES])


def module(name: str, *plan: Any, type_: str = "scripted", **more: Any) -> dict[str, Any]:
    given = more.pop("given", name)
    return {"id": name, "type": f"test.{type_}@1", "in": {"plan": [list(one) for one in plan], "given": given}, **more}


def world_of(*modules: dict[str, Any], **more: Any) -> CoreWorld:
    world = CoreWorld(definition_with(*modules, **more), REGISTRY)
    world.look()
    return world


def starts(world: CoreWorld, after: int) -> list[str]:
    """The modules that began after an event and were not taken over."""
    begun = [event for event in world.log if event.seq > after and event.type == "module_started"]
    return [str(event.module) for event in begun if "reused_from" not in event.data]


def three() -> CoreWorld:
    """A run that has ended: the third module refers to the first, the second to none."""
    return world_of(
        module("first"),
        module("second", ("task", 1), type_="repeatable"),
        module("third", type_="repeatable", given="{{ modules.first.number }}"),
        output={"first": "{{ modules.first }}", "third": "{{ modules.third.given }}"},
    )


def test_retry_gives_module_its_earlier_tries_with_feedback() -> None:
    world = world_of(module("only"), output={"got": "{{ modules.only }}"})
    world.go_back(Retry(module="only", feedback={"message": "brighter"}))
    assert world.output["got"] == {"given": "only", "number": 2, "tries": 1, "answers": []}


def test_retry_runs_what_depends_and_takes_over_the_rest() -> None:
    world = three()
    world.finish_first({})
    before = world.line[-1].seq
    planned = world.go_back(Retry(module="first"))
    assert [(one.module, one.unless_same) for one in planned.runs_again] == [("first", False), ("third", True)]
    assert planned.reused == ("second",)
    assert starts(world, before) == ["first", "third"]
    assert world.output["third"] == 2


def test_same_inputs_again_are_taken_over_without_work() -> None:
    world = three()
    world.finish_first({})
    world.go_back(Jump(module="first"))
    assert not world.open_tasks
    assert world.status is RunStatus.COMPLETED
    reused = [event.data.get("reused_from") for event in world.line if event.type == "module_completed"]
    assert [seq is not None for seq in reused] == [False, True, True]


def test_taken_over_twice_names_the_first_completion() -> None:
    world = three()
    world.finish_first({})
    first = next(event.seq for event in world.log if event.type == "module_completed" and event.module == "second")
    for _ in range(2):
        world.go_back(Jump(module="first"))
    last = [event for event in world.line if event.type == "module_completed" and event.module == "second"]
    assert [event.data["reused_from"] for event in last] == [first]


def test_module_that_must_not_be_reused_runs_again() -> None:
    world = world_of(module("first"), module("second", ("task", 1), type_="repeatable", reuse=False))
    world.finish_first({})
    planned = world.go_back(Jump(module="first"))
    assert [one.module for one in planned.runs_again] == ["first", "second"]
    assert len(world.open_tasks) == 1


def test_retry_with_edited_inputs_takes_them_for_this_try() -> None:
    world = world_of(module("only", ("fail", "rejected")), output={"given": "{{ modules.only.given }}"})
    assert world.status is RunStatus.ERROR
    world.go_back(Retry(module="only", inputs={"plan": [["task", 1]], "given": "by hand"}))
    world.finish_first({})
    assert world.output == {"given": "by hand"}


def test_retry_stops_the_tasks_of_what_it_undoes() -> None:
    world = world_of(module("first"), module("second", ("task", 2)))
    tasks = list(world.open_tasks)
    planned = world.go_back(Retry(module="first"))
    assert list(planned.tasks_stop) == tasks
    assert not set(tasks) & set(world.open_tasks)


def test_end_of_undone_task_changes_nothing() -> None:
    world = world_of(module("first"), module("second", ("task", 1)))
    task = next(iter(world.open_tasks))
    world.go_back(Retry(module="second"))
    world.ends[task] = world.ends.get(task) or pytest.fail("it was cancelled")
    assert not world.look()


def test_failed_items_run_again_and_good_ones_stay() -> None:
    run = module("draw", ("task", 1), given="{{ item }}")
    items = {"items": ["a", "b", "c"], "run": run, "complete_when": {"tolerated_failures": 0}}
    world = world_of({"id": "all", "type": "flow.map@1", "in": items}, output={"all": "{{ modules.all.results }}"})
    world.finish_first({})
    world.finish(next(iter(world.open_tasks)), error={"code": "rejected", "message": "no"})
    world.finish_first({})
    assert world.status is RunStatus.ERROR
    world.go_back(RetryFailed(module="all"))
    assert [task.sub_action_id for task in world.open_tasks.values()] == ["all/1"]
    world.finish_first({})
    assert [one["given"] for one in world.output["all"]] == ["a", "b", "c"]


@pytest.mark.parametrize("tolerated", [0, 1])
def test_items_that_were_under_way_run_again_where_they_were_stopped(tolerated: int) -> None:
    run = module("draw", ("task", 1), given="{{ item }}")
    items = {"items": ["a", "b", "c"], "run": run, "complete_when": {"tolerated_failures": tolerated}}
    world = world_of({"id": "all", "type": "flow.map@1", "in": items}, output={"all": "{{ modules.all.results }}"})
    world.finish_first({})
    world.finish_first(error={"code": "rejected", "message": "no"})
    going_on = list(world.open_tasks)
    assert world.status is (RunStatus.PROCESSING if tolerated else RunStatus.ERROR)

    planned = world.go_back(RetryFailed(module="all"))

    assert {task.sub_action_id for task in world.open_tasks.values()} == {"all/1", "all/2"}
    # What goes on is not begun once more.
    assert (len(going_on), set(going_on) <= set(world.open_tasks)) == ((1, True) if tolerated else (0, True))
    assert {sub.id for sub in planned.work_again} == ({"all/1"} if tolerated else {"all/1", "all/2"})
    world.finish_first({})
    world.finish_first({})
    assert [one["given"] for one in world.output["all"]] == ["a", "b", "c"]


def test_retry_of_failed_items_needs_one() -> None:
    with pytest.raises(ActionRefusedError, match="nothing of module first has failed"):
        world_of(module("first")).plan(RetryFailed(module="first"))


def test_jump_leaves_old_branch_readable() -> None:
    world = world_of(module("first"), module("second", ("ask",)))
    old, line = world.branch_id, list(world.line)
    world.go_back(Jump(module="first"))
    assert world.branch_id != old
    assert world.lines[old] == line
    assert world.line[-1].type == "interaction_requested"


def test_jump_with_feedback_shows_the_try_that_was_left() -> None:
    world = world_of(module("first", ("ask",)), module("second", ("ask",)), output={"got": "{{ modules.first }}"})
    world.answer({})
    world.go_back(Jump(module="first", feedback={"message": "shorter"}))
    start = world.state.started["only", "first"]
    assert (start.data["try"], start.data["feedback"]) == (2, {"message": "shorter"})
    world.answer({})
    world.answer({})
    assert (world.output["got"]["number"], world.output["got"]["tries"]) == (2, 1)


def test_branch_from_question_asks_again_with_old_answer() -> None:
    world = world_of(module("first", ("ask", 60)), module("second", ("ask",)), output={"got": "{{ modules.first }}"})
    world.answer({"back": ""})
    request = next(event for event in world.log if event.type == "interaction_requested")
    state = CoreWorld.state_after(world.line[: request.seq + 1])
    way = BranchFrom(interaction_id=str(request.interaction_id), seq=request.seq, state=state, response={"back": ""})
    planned = world.go_back(way)
    assert [one.module for one in planned.runs_again] == ["first"]
    assert world.state.went_back is not None
    assert world.state.went_back.data["prefill"] == {"back": ""}
    assert world.state.pending is not None
    assert world.state.pending.data["interaction_id"] != request.interaction_id
    assert len(world.open_timers) == 1
    world.answer({})
    assert world.state.pending.data["title"] == "Question 0"


def test_switch_goes_on_where_a_branch_was_left() -> None:
    world = world_of(module("first", ("task", 1)), module("second", ("task", 2)))
    world.finish_first({})
    old, left = world.branch_id, world.line[-1].seq
    state = world.state
    world.finish_first({})
    left, state = world.line[-1].seq, world.state
    world.go_back(Jump(module="first"))
    assert [task.sub_action_id for task in world.open_tasks.values()] == ["first/task0_0"]
    planned = world.go_back(Switch(branch_id=old, seq=left, state=state))
    assert [one.module for one in planned.runs_again] == ["second"]
    assert [task.sub_action_id for task in world.open_tasks.values()] == ["second/task0_1"]
    world.finish_first({})
    assert world.status is RunStatus.COMPLETED


def test_move_stays_on_line_and_restarts_open_module() -> None:
    world = world_of(module("first"), module("second", ("fail", "misconfigured")))
    assert world.status is RunStatus.ERROR
    better = definition_with(module("first"), module("second"), output={"got": "{{ modules.second.given }}"})
    branch = world.branch_id
    planned = world.go_back(Move(version_id="ver_2", definition=better))
    assert (planned.version_id, [one.module for one in planned.runs_again]) == ("ver_2", ["second"])
    assert world.branch_id == branch
    assert world.output == {"got": "second"}


def test_move_branches_at_module_of_another_type() -> None:
    world = world_of(module("first"), module("second"), module("third", ("ask",)))
    other = definition_with(module("first"), module("second", type_="repeatable"), module("third"))
    branch = world.branch_id
    planned = world.go_back(Move(version_id="ver_2", definition=other))
    assert [one.module for one in planned.runs_again] == ["second", "third"]
    assert world.branch_id != branch
    assert world.status is RunStatus.COMPLETED


def test_reset_begins_again_with_other_input() -> None:
    world = world_of(
        module("first", ("task", 1), given="{{ run.id }}"), output={"x": {"$ref": "input.x", "default": 0}}
    )
    planned = world.go_back(Reset(input={"x": 5}))
    assert len(planned.tasks_stop) == 1
    world.finish_first({})
    assert world.output == {"x": 5}
    assert world.types[0] == "workflow_created"


def test_plan_tells_known_costs_and_what_is_unknown() -> None:
    world = world_of(module("first", ("task", 1)), module("second", ("task", 2)))
    world.finish_first({})
    (done, *_), spent = world.ends, Decimal("0.25")
    planned = plan(world.picture(), Retry(module="first"), Spent(tasks={done: spent}))
    assert planned.estimated_cost == Decimal("0.25")
    assert planned.without_estimate == ("second",)


def test_module_that_has_not_begun_cannot_be_gone_back_to() -> None:
    world = world_of(module("first", ("ask",)), module("second"))
    with pytest.raises(ActionRefusedError, match="module 'second' has not begun; first have"):
        world.plan(Jump(module="second"))


def test_ended_run_goes_on_after_retry() -> None:
    world = world_of(module("first", ("fail", "bug", 2)), output={"tries": "{{ modules.first.tries }}"})
    assert world.status is RunStatus.ERROR
    world.go_back(Retry(module="first"))
    assert world.output == {"tries": 1}
