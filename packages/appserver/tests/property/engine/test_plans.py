"""Plans of going back, for any definition and any point of a run: what they tell is what then happens."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appdb.models import RunStatus
from appserver.engine.core.causes import Signal
from appserver.engine.core.plan import GoingBackPlan
from appserver.engine.core.ways_back import BranchFrom, Jump, Reset, Retry, Switch, WayBack
from appserver.engine.definition.model import Definition
from appserver.engine.definition.parsing import stored_definition
from appserver.modules.registry import ModuleRegistry
from appsupport.workflows.core_world import CoreWorld
from appsupport.workflows.scripted_module import Scripted, ScriptedRepeatable

TYPES = [Scripted(), ScriptedRepeatable()]
REGISTRY = ModuleRegistry(TYPES, inline=[module.type for module in TYPES])
effects = st.sampled_from([["task", 1], ["task", 2], ["ask"], ["ask", 30], ["timer", 5], ["signal", "a"], ["load"]])


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """Definitions of one to six modules, of which some refer to others and some may be reused."""
    count = draw(st.integers(1, 6))
    modules: list[dict[str, Any]] = []
    for number in range(count):
        given: Any = f"{number}"
        if number and draw(st.booleans()):
            given = f"{{{{ modules.m{draw(st.integers(0, number - 1))}.number }}}}"
        inputs = {"plan": draw(st.lists(effects, max_size=2)), "given": given}
        module = {"id": f"m{number}", "type": draw(st.sampled_from([one.type for one in TYPES])), "in": inputs}
        modules.append(module | draw(st.sampled_from([{}, {"reuse": False}, {"reuse": True}])))
    cut = draw(st.integers(1, count))
    steps = [
        {"id": f"s{number}", "modules": some} for number, some in enumerate((modules[:cut], modules[cut:])) if some
    ]
    return stored_definition({"name": "trial", "steps": steps})


def step_on(world: CoreWorld) -> bool:
    """Let the next thing happen that the run waits for; return whether there was one."""
    state = world.state
    if state.position.ended is not None:
        return False
    if state.pending is not None:
        world.answer({})
    elif world.open_tasks:
        world.finish_first({"made": 1})
    elif world.open_timers:
        world.fire_first()
    else:
        world.cause(Signal(name="a", signal_id=f"sig_{len(world.log)}"))
    return True


def way_of(world: CoreWorld, kind: str, number: int) -> WayBack | None:
    """Return one of the ways back that the run has now."""
    begun = sorted(module for _, module in world.state.started)
    asked = [event for event in world.line if event.type == "interaction_requested"]
    match kind:
        case "retry" if begun:
            return Retry(module=begun[number % len(begun)])
        case "jump" if begun:
            return Jump(module=begun[number % len(begun)])
        case "branch" if asked:
            request = asked[number % len(asked)]
            state = CoreWorld.state_after(event for event in world.line if event.seq <= request.seq)
            return BranchFrom(interaction_id=str(request.interaction_id), seq=request.seq, state=state, response={})
        case "switch" if world.lines:
            branch_id, line = sorted(world.lines.items())[number % len(world.lines)]
            return Switch(branch_id=branch_id, seq=line[-1].seq, state=CoreWorld.state_after(line))
        case "reset":
            return Reset()
    return None


@settings(max_examples=60, deadline=None)
@given(
    definition=definitions(),
    ways=st.lists(
        st.tuples(
            st.integers(0, 12), st.sampled_from(["retry", "jump", "branch", "switch", "reset"]), st.integers(0, 9)
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_plan_is_what_then_happens(definition: Definition, ways: list[tuple[int, str, int]]) -> None:
    world = CoreWorld(definition, REGISTRY, crashing=False)
    world.look()
    gone = 0
    for steps, kind, number in ways:
        for _ in range(steps):
            step_on(world)
        way = way_of(world, kind, number)
        if way is not None:
            gone += 1
            _check_way(world, way)
    assume(gone)
    for _ in range(200):
        if not step_on(world):
            break
    assert world.status is RunStatus.COMPLETED


def _check_way(world: CoreWorld, way: WayBack) -> None:
    """Go back, let the run go on until all that the plan tells is over, and compare."""
    begun = {module for _, module in world.state.started}
    first, open_before = len(world.log), set(world.tasks)
    planned = world.go_back(way)
    assert not set(planned.tasks_stop) & set(world.tasks)
    assert open_before & set(world.tasks) <= open_before - set(planned.tasks_stop)
    told = {one.module for one in planned.runs_again} | set(planned.reused)
    for _ in range(100):
        if told <= {module for _, module in world.state.outputs} or not step_on(world):
            break
    _compare(planned, world, first, begun)


def _compare(planned: GoingBackPlan, world: CoreWorld, first: int, begun: set[str]) -> None:
    starts = [event for event in world.log[first:] if event.type == "module_started" and event.module in begun]
    ran = {str(event.module) for event in starts if "reused_from" not in event.data}
    taken = {str(event.module) for event in starts if "reused_from" in event.data}
    certain = {one.module for one in planned.runs_again if not one.unless_same}
    perhaps = {one.module for one in planned.runs_again if one.unless_same}
    assert certain <= ran, "what is told to run again runs again"
    assert set(planned.reused) <= taken - ran, "what is told to be taken over is"
    assert perhaps <= ran | taken
