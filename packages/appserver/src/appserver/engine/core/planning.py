"""Planning: each way back becomes a plan, of which nothing is done yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from appdb import DbEventType as E
from appdb.models import NewRunEvent, RunState, SubAction
from appserver.engine.core import going_back
from appserver.engine.core.costs import NOTHING_SPENT, Spent, cost_of, costing_work, may_cost
from appserver.engine.core.deciding import repeats
from appserver.engine.core.decision import Fork
from appserver.engine.core.depending import Changed
from appserver.engine.core.draft import Draft
from appserver.engine.core.event_sizes import problem_of
from appserver.engine.core.ids import branch_id, event_id
from appserver.engine.core.inputs import given_inputs
from appserver.engine.core.kept_work import SortedWork, sorted_work
from appserver.engine.core.picture import Picture
from appserver.engine.core.place import Place, open_place, place_of
from appserver.engine.core.plan import GoingBackPlan, Rerun
from appserver.engine.core.scope import scope_of
from appserver.engine.core.try_work import subs_of_try
from appserver.engine.core.undoing import all_places, reusable_of, stop_open_work, undone_by
from appserver.engine.core.ways_back import BranchFrom, Jump, Move, Reset, Retry, RetryFailed, Switch, WayBack
from appserver.engine.definition.model import Definition
from appserver.errors import ActionRefusedError
from appserver.modules.contract import Fail

MAX_SAID_BYTES = 32 * 1024
"""Of feedback and edited inputs; the log tells them twice, beside the inputs themselves."""
MAX_TOLD_BESIDE_BYTES = 128 * 1024
"""Of what the events that hold these say beside: which sub-actions are kept, what may be taken over."""


def plan(picture: Picture, way: WayBack, spent: Spent = NOTHING_SPENT) -> GoingBackPlan:
    """Return what *way* does; nothing is done yet.

    Args:
        picture: The run as it is.
        way: What is asked for.
        spent: What the work that is done again has cost, where that is known.

    Raises:
        ActionRefusedError: The run has no such module, question or branch, nothing of it has failed, or it has not
            begun.
    """
    if picture.state.position.waiting:
        raise ActionRefusedError("going_back", "the run waits for another and has begun nothing; wait, or cancel it")
    planner = Planner(picture, spent)
    return _PLANNERS[type(way)](planner, way)


class Planner:
    """Makes one plan.

    Args:
        picture: The run as it is.
        spent: What the work that is done again has cost, where that is known.
    """

    def __init__(self, picture: Picture, spent: Spent) -> None:
        self._picture, self._spent = picture, spent
        self._definition, self._state = picture.definition, picture.state
        self._draft = Draft(picture)

    def jump(self, way: Jump) -> GoingBackPlan:
        """Return what a jump does."""
        target = self._begun("jump", way.module)
        _check_size("jump", {"feedback": dict(way.feedback)})
        going_back.jump(self._draft, target, feedback=way.feedback)
        return self._with_reruns(target)

    def branch_from(self, way: BranchFrom) -> GoingBackPlan:
        """Return what asking an old question again does."""
        data: dict[str, JsonValue] = {"from_interaction_id": way.interaction_id}
        if way.response is not None:
            data["prefill"] = way.response
        return self._to_other_line(way.seq, E.WORKFLOW_RESUMED, data, way.state)

    def switch(self, way: Switch) -> GoingBackPlan:
        """Return what going on with another branch does."""
        data: dict[str, JsonValue] = {"target_branch_id": way.branch_id}
        return self._to_other_line(way.seq, E.BRANCH_SWITCHED, data, way.state)

    def retry(self, way: Retry) -> GoingBackPlan:
        """Return what a retry does."""
        target = self._begun("retry", way.module)
        nested = _nested_inputs(self._picture, target) & set(way.inputs)
        if nested:
            raise ActionRefusedError("retry", f"{', '.join(sorted(nested))} can only be changed in the definition")
        _check_size("retry", {"feedback": dict(way.feedback), "inputs": dict(way.inputs)})
        going_back.retry(self._draft, target, feedback=way.feedback, edited=way.inputs)
        return self._with_reruns(target)

    def retry_failed(self, way: RetryFailed) -> GoingBackPlan:
        """Return what a retry of the failed parts does."""
        target = self._begun("retry_failed_items", way.module)
        subs = subs_of_try(self._state, target.key)
        if not any(sub.failed for sub in subs):
            raise ActionRefusedError("retry_failed_items", f"nothing of module {way.module} has failed")
        # A person's inputs stay: by others they would be other items.
        edited = self._state.started[target.key].data.get("edited")
        awaited = {wait.sub_action_id for wait in self._state.waiting_on}
        # What was under way when the module failed was stopped then: it has not ended, and nobody waits for it.
        stays = [sub for sub in subs if sub.completed or (sub.ended is None and sub.id in awaited)]
        going_back.retry(self._draft, target, edited=edited, keep=tuple(sub.id for sub in stays))
        again = tuple(sub for sub in subs if sub not in stays)
        return self._with_reruns(target, only=_done_again(SortedWork(same=again)))

    def _begun(self, action: str, module: str) -> Place:
        target = place_of(self._definition, module)
        begun = [place.module.id for place in all_places(self._definition) if place.has_begun(self._state)]
        if target is None or not target.has_begun(self._state):
            raise ActionRefusedError(action, f"module {module!r} has not begun; {', '.join(begun) or 'none'} have")
        return target

    def _with_reruns(self, target: Place, only: Sequence[SubAction] | None = None) -> GoingBackPlan:
        """Return the plan for undoing *target* and what came after it; of *target*, only the sub-actions *only*."""
        undone = undone_by(self._definition, self._state, target)
        reusable = reusable_of(self._state, undone, target)
        changed = Changed(target)
        reruns, reused = (
            [Rerun.of(target)],
            [],
        )
        for place in undone:
            if place is target or place.key == target.key or place.key not in self._state.started:
                continue
            repeats = place.module.id in reusable and _may_be_reused(self._picture, place)
            if repeats and not changed.reaches(place):
                reused.append(place.module.id)
                continue
            changed.add(place)
            reruns.append(Rerun.of(place, unless_same=repeats))
        return self._finished(reruns, reused, only={target.module.id: only} if only is not None else {})

    def _to_other_line(self, seq: int, type_: E, data: dict[str, JsonValue], state: RunState) -> GoingBackPlan:
        """Return the plan for going on behind an event on another line, where the open module begins again."""
        places = all_places(self._definition)
        stop_open_work(self._draft, places)
        place = open_place(self._definition, state)
        self._fork(seq, type_, {**data, "reusable": reusable_of(self._state, places, place)})
        start = None if place is None else place.started(state)
        if place is None or start is None or state.position.ended is not None:
            return self._finished([], [])
        found = self._sorted_work(place, state, start.data.get("edited", {}))
        return self._finished([Rerun.of(place)], [], only={place.module.id: _done_again(found)})

    def move(self, way: Move) -> GoingBackPlan:
        """Return what following another version does."""
        begun = [place for place in all_places(self._definition) if place.has_begun(self._state)]
        changed = next((place for place in begun if not _is_same(place, way.definition)), None)
        current = open_place(self._definition, self._state)
        if changed is not None:
            going_back.jump(self._draft, changed)
            planned = self._with_reruns(changed)
        elif current is not None and current.has_begun(self._state):
            # Its work was begun by the old definition; what is done of it stays, where it is still wanted.
            found = self._sorted_work(place_of(way.definition, current.module.id) or current, self._state, {})
            going_back.retry(self._draft, current, keep=tuple(sub.id for sub in found.same if sub.completed))
            planned = self._with_reruns(current, only=_done_again(found))
        else:
            planned = self._finished([], [])
        return replace(planned, version_id=way.version_id)

    def _sorted_work(self, place: Place, state: RunState, edited: Mapping[str, JsonValue]) -> SortedWork:
        """Return what becomes of the work of a module's last try where it begins again as *place* defines it."""
        subs = subs_of_try(state, place.key)
        module = self._picture.registry.find(place.module.type)
        if module is None:
            return SortedWork(same=tuple(subs))
        inputs = given_inputs(module, place.module, scope_of(self._picture.run, state), edited).inputs
        return SortedWork(same=tuple(subs)) if isinstance(inputs, Fail) else sorted_work(module, inputs, subs)

    def reset(self, way: Reset) -> GoingBackPlan:
        """Return what beginning again does."""
        stop_open_work(self._draft, all_places(self._definition))
        created = {} if self._state.created is None else dict(self._state.created.data)
        data = {**created, "reset": True}
        if way.input is not None:
            data["input"] = dict(way.input)
        self._fork(None, E.WORKFLOW_CREATED, data)
        begun = [place for place in all_places(self._definition) if place.key in self._state.started]
        reruns = [Rerun.of(place) for place in begun]
        return self._finished(reruns, [])

    def _fork(self, seq: int | None, type_: E, data: dict[str, JsonValue]) -> None:
        run_id, number = self._picture.run.id, self._draft.next_seq
        event = NewRunEvent(type=type_, data=data, event_id=event_id(run_id, number))
        self._draft.fork = Fork(seq=seq, event=event, branch_id=branch_id(run_id, number))

    def _finished(
        self,
        reruns: Sequence[Rerun],
        reused: Sequence[str],
        only: Mapping[str, Sequence[SubAction]] | None = None,
    ) -> GoingBackPlan:
        decision = self._draft.finished()
        works = {one.module: costing_work(self._state, (one.step, one.module)) for one in reruns} | dict(only or {})
        cost, unknown = cost_of(reruns, works, self._spent)
        return GoingBackPlan(
            decision=decision,
            runs_again=tuple(reruns),
            reused=tuple(reused),
            tasks_stop=tuple(task_id for chosen in decision.cancels for task_id in chosen.task_ids or ()),
            children_stop=decision.cancel_children,
            work_again=tuple(sub for work in works.values() for sub in work),
            estimated_cost=cost,
            without_estimate=unknown,
        )


def _done_again(found: SortedWork) -> list[SubAction]:
    """Return the work of a module that is done again where what is done of it stays, and that may cost something."""
    again = (*(sub for sub in found.same if not sub.completed), *found.other)
    return [sub for sub in again if may_cost(sub)]


def _check_size(action: str, said: Mapping[str, JsonValue]) -> None:
    """Check that what a person says with a way back fits into the events that tell it.

    Raises:
        ActionRefusedError: It does not.
    """
    if (problem := problem_of(said, MAX_SAID_BYTES, beside=MAX_TOLD_BESIDE_BYTES)) is not None:
        raise ActionRefusedError(action, f"feedback and inputs take {problem}")


def _is_same(place: Place, definition: Definition) -> bool:
    """Return whether another definition has a module of the same id and type in the same step."""
    other = place_of(definition, place.module.id)
    return other is not None and (other.step, other.module.type) == (place.step, place.module.type)


def _nested_inputs(picture: Picture, place: Place) -> set[str]:
    module = picture.registry.find(place.module.type)
    return set() if module is None else set(module.nested)


def _may_be_reused(picture: Picture, place: Place) -> bool:
    """Return whether completions of a module with the same inputs may be taken over."""
    if place.module.reuse is not None:
        return place.module.reuse
    module = picture.registry.find(place.module.type)
    if module is None:
        return False
    inputs = given_inputs(module, place.module, scope_of(picture.run, picture.state), {}).inputs
    return not isinstance(inputs, Fail) and repeats(module, inputs)


_PLANNERS: Mapping[type, Callable[[Planner, Any], GoingBackPlan]] = {
    Retry: Planner.retry,
    RetryFailed: Planner.retry_failed,
    Jump: Planner.jump,
    BranchFrom: Planner.branch_from,
    Switch: Planner.switch,
    Move: Planner.move,
    Reset: Planner.reset,
}
