"""Going back: what a retry or a jump writes, and what stops for it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from appdb import DbEventType as E
from appdb.models import NewRunEvent, RunState
from appserver.engine.core.decision import Fork
from appserver.engine.core.draft import Draft
from appserver.engine.core.ids import branch_id, event_id
from appserver.engine.core.place import Place, open_place, order_of, place_of
from appserver.engine.core.seen import try_of
from appserver.engine.core.undoing import reusable_of, seq_before, stop_open_work, undone_by
from appserver.modules.contract import ErrorCode, Fail, GoBack


def go_back(draft: Draft, place: Place, effect: GoBack) -> Fail | None:
    """Go back as a module wants it, or return why that cannot be."""
    definition = draft.picture.definition
    target, order = place_of(definition, effect.module), order_of(definition)
    if target is None or order[target.module.id] > order[place.module.id]:
        known = ", ".join(name for name, index in order.items() if index <= order[place.module.id])
        return Fail(
            code=ErrorCode.MISCONFIGURED,
            message=f"module {effect.module!r} is not before {place.module.id}",
            hint=f"a module can send the run back to {known}",
        )
    if effect.branch:
        jump(draft, target, feedback=effect.feedback)
    else:
        retry(draft, target, feedback=effect.feedback)
    return None


def retry(
    draft: Draft,
    target: Place,
    *,
    feedback: Mapping[str, JsonValue] | None = None,
    edited: Mapping[str, JsonValue] | None = None,
    keep: tuple[str, ...] = (),
) -> None:
    """Let *target* run again on the same line; what came after it is undone.

    Args:
        draft: The decision.
        target: The module.
        feedback: What should be better.
        edited: Inputs, by name, in place of those that the definition has.
        keep: Sub-actions of *target* that do not run again.
    """
    state, definition = draft.state, draft.picture.definition
    undone = undone_by(definition, state, target)
    stop_open_work(draft, undone, frozenset(keep))
    data = _reason(state, target, undone, feedback, edited)
    if keep:
        data["keep_sub_actions"] = list(keep)
    draft.add(E.RETRY_REQUESTED, *target.key, data)


def jump(draft: Draft, target: Place, *, feedback: Mapping[str, JsonValue] | None = None) -> None:
    """Let the run go on before *target* on a new branch; the old one keeps what came after."""
    state, definition, run = draft.state, draft.picture.definition, draft.picture.run
    undone = undone_by(definition, state, target)
    stop_open_work(draft, undone)
    data = _reason(state, target, undone, feedback, None)
    if feedback:
        output = state.outputs.get(target.key)
        data["left"] = None if output is None else output.seq
    else:
        data["try"] = 1
    seq = draft.next_seq
    event = NewRunEvent(
        type=E.JUMP_REQUESTED, step=target.step, module=target.module.id, data=data, event_id=event_id(run.id, seq)
    )
    draft.fork = Fork(seq=seq_before(definition, state, target), event=event, branch_id=branch_id(run.id, seq))


def resume_left_work(draft: Draft) -> None:
    """Let the open module begin again on a branch that forked while it waited: what it waited for was stopped then.

    What is done stays, and the question is asked again, with the answer that it got before at hand.
    """
    state, back = draft.state, draft.state.went_back
    if back is None or back.type not in (E.BRANCH_SWITCHED, E.WORKFLOW_RESUMED) or state.position.ended is not None:
        return
    place = open_place(draft.picture.definition, state)
    start = None if place is None else place.started(state)
    if place is None or start is None or start.seq > back.seq or place.error(state) is not None:
        return
    done = draft.try_work(place, start).done
    told = {name: start.data[name] for name in ("edited", "feedback", "left") if name in start.data}
    data: dict[str, JsonValue] = {
        "target_step": place.step,
        "target_module": place.module.id,
        "try": try_of(start),
        "reusable": back.data.get("reusable", {}),
        "keep_sub_actions": [*done],
        **told,
    }
    if "prefill" in back.data:
        data["prefill"] = back.data["prefill"]
    draft.add(E.RETRY_REQUESTED, *place.key, data)


def _reason(
    state: RunState,
    target: Place,
    undone: list[Place],
    feedback: Mapping[str, JsonValue] | None,
    edited: Mapping[str, JsonValue] | None,
) -> dict[str, JsonValue]:
    start = state.started.get(target.key)
    data: dict[str, JsonValue] = {
        "target_step": target.step,
        "target_module": target.module.id,
        "try": 1 if start is None else try_of(start) + 1,
        "reusable": reusable_of(state, undone, target),
    }
    if feedback:
        data["feedback"] = dict(feedback)
    if edited:
        data["edited"] = dict(edited)
    return data
