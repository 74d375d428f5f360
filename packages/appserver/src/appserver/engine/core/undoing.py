"""Undoing: the modules that going back undoes, their work that stops, and their completions that may be taken over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from appdb.models import RunState, SubAction
from appserver.engine.core.draft import Draft
from appserver.engine.core.place import Place, order_of
from appserver.engine.core.scope import REUSED_FROM
from appserver.engine.core.sub_actions import stop
from appserver.engine.definition.model import Definition


def undone_by(definition: Definition, state: RunState, target: Place) -> list[Place]:
    """Return the modules from *target* on that have begun or are completed, in their order."""
    order = order_of(definition)
    later = [place for place in all_places(definition) if order[place.module.id] >= order[target.module.id]]
    return [place for place in later if place.has_begun(state)]


def all_places(definition: Definition) -> list[Place]:
    """Return every module in its step, in their order."""
    return [Place(step.id, module) for step, module in definition.modules()]


def open_work(state: RunState, places: Sequence[Place]) -> list[SubAction]:
    """Return the open sub-actions of *places*."""
    keys = {place.key for place in places}
    return [sub for sub in state.sub_actions.values() if sub.ended is None and (sub.step, sub.module) in keys]


def stop_open_work(draft: Draft, places: Sequence[Place], kept: frozenset[str] = frozenset()) -> None:
    """Cancel all that *places* wait for outside, but for the sub-actions *kept*."""
    stop(draft, [sub for sub in open_work(draft.state, places) if sub.id not in kept])
    keys = {place.key for place in places}
    for wait in draft.state.waiting_on:
        # What is no sub-action: timeouts, pauses before a retry, handoffs.
        if (wait.step, wait.module) in keys and wait.sub_action_id is None and wait.kind.value in ("timer", "task"):
            draft.cancel_tasks([wait.id])
    pending = draft.state.pending
    if pending is not None and (pending.step, pending.module) in keys and "timer_id" in pending.data:
        draft.cancel_tasks([str(pending.data["timer_id"])])


def reusable_of(state: RunState, places: Sequence[Place], target: Place | None = None) -> dict[str, JsonValue]:
    """Return, by module, the digest of the inputs and the number of its completion, for what may be taken over.

    Not for *target*: going back to a module is asking for it to run again. What an earlier way back offered stays
    offered, so that going to and fro loses nothing.
    """
    earlier: Any = {} if state.went_back is None else state.went_back.data.get("reusable", {})
    found: dict[str, JsonValue] = dict(earlier) if isinstance(earlier, Mapping) else {}
    for place in places:
        start, output = state.started.get(place.key), state.outputs.get(place.key)
        if start is not None and output is not None and "digest" in start.data:
            seq = output.data.get(REUSED_FROM, output.seq)
            found[place.module.id] = {"digest": start.data["digest"], "seq": seq}
    if target is not None:
        found.pop(target.module.id, None)
    return found


def seq_before(definition: Definition, state: RunState, target: Place) -> int:
    """Return the last event of the line that counts before *target* begins for the last time."""
    start = state.started.get(target.key)
    if start is not None:
        return start.seq - 1
    created = 0 if state.created is None else state.created.seq
    order = order_of(definition)
    done = [place for place in all_places(definition) if order[place.module.id] < order[target.module.id]]
    # What was passed over has left no start; then the last completion before it is where it was decided.
    return max((state.outputs[place.key].seq for place in done if place.key in state.outputs), default=created)
