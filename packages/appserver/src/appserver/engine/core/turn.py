"""The turn of a module: it is begun, or asked again, and its effect is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from appdb import DbEventType as E
from appdb.models import EventSummary, RunState
from appserver.engine.core import engine_tasks
from appserver.engine.core.deciding import repeats
from appserver.engine.core.draft import Draft
from appserver.engine.core.failures import attempt_of, fail_module, kept_for_retry
from appserver.engine.core.ids import handoff_id, task_id
from appserver.engine.core.inputs import GivenInputs, digest_of, given_inputs
from appserver.engine.core.kept_work import sorted_work
from appserver.engine.core.place import Place
from appserver.engine.core.seen import past_outputs, seen_of, try_of
from appserver.engine.core.sub_actions import stop
from appserver.engine.core.try_work import KEPT
from appserver.modules.contract import Fail, ModuleKind, Ports, Seen
from appserver.modules.registry import AnyModule
from appserver.values.conditions import holds

MAX_TOLD_INPUTS_BYTES = 16 * 1024
"""Of inputs that a start tells, with what a person said for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A module that is asked what follows.

    Args:
        place: Where it is.
        start: The event that began this try.
        module: Its code.
        inputs: Its inputs.
        seen: What has happened to it.
    """

    place: Place
    start: EventSummary
    module: AnyModule
    inputs: Ports
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beginning:
    """The beginning of a try, beside the inputs of the definition."""

    number: int = 1
    attempt: int = 1
    told: Mapping[str, JsonValue] = field(default_factory=dict)
    """``edited``, ``kept``, ``left`` and ``feedback``, which the turns of the try need."""


def begin(draft: Draft, place: Place) -> None:
    """Add a module's start, or that it is passed over; or ask for a host that has its type."""
    state, used = draft.state, place.module
    if state.position.step != place.step and not state.modules_completed.get(place.step):
        draft.add(E.STEP_STARTED, place.step)
    if used.when is not None and not holds(used.when, draft.scope):
        draft.add(E.MODULE_SKIPPED, *place.key, {"reason": "when"})
        return
    beginning = _beginning(draft, place, state)
    data: dict[str, JsonValue] = {
        "type": used.type,
        "try": beginning.number,
        "attempt": beginning.attempt,
        **beginning.told,
    }
    module = draft.module(used.type)
    if module is None:
        _hand_off(draft, place, data)
        return
    given = _given(draft, place, module, draft.next_seq, data.get("edited"), again=False)
    if not isinstance(given.inputs, Fail):
        data |= _kept(draft, data, module, given.inputs)
        said = {name: value for name, value in beginning.told.items() if name != KEPT}
        size = given.size + len(to_json(said))
        data |= {"inputs": dict(given.filled)} if size <= MAX_TOLD_INPUTS_BYTES else {"inputs_omitted": True}
        digest = digest_of(used.type, given.filled)
        if isinstance(digest, str):
            data["digest"] = digest
            data |= _reused(draft, place, module, given.inputs, digest)
    if module.kind in (ModuleKind.TASK, ModuleKind.FLOW) and used.timeout_seconds is not None:
        data |= _timeout(draft, place, timedelta(seconds=used.timeout_seconds))
    draft.add(E.MODULE_STARTED, *place.key, data)


def turn_of(draft: Draft, place: Place, start: EventSummary) -> Turn | None:
    """Return the module ready to be asked; ``None`` when it has failed, another host must go on, or data is needed."""
    module = draft.module(place.module.type)
    if module is None:
        _hand_on(draft, place, start)
        return None
    inputs = _given(draft, place, module, start.seq, start.data.get("edited"), again="digest" in start.data).inputs
    if isinstance(inputs, Fail):
        fail_module(draft, place, start, inputs)
        return None
    seen = seen_of(draft, place, start)
    return None if seen is None else Turn(place=place, start=start, module=module, inputs=inputs, seen=seen)


def _given(
    draft: Draft, place: Place, module: AnyModule, start_seq: int, edited: object, *, again: bool
) -> GivenInputs:
    """Return the module's inputs in the try that begins with an event; made once in a decision, since they stay.

    A start that has the inputs' digest says that they could be filled: *again* they are.
    """
    known = draft.given.get(start_seq)
    if known is None:
        changed = edited if isinstance(edited, dict) else {}
        known = draft.given[start_seq] = given_inputs(module, place.module, draft.scope, changed, again=again)
        draft.work += known.size
    return known


def _beginning(draft: Draft, place: Place, state: RunState) -> _Beginning:
    """Return what the next try of a module begins with: after going back, after an error, or at first."""
    last, back, error = state.started.get(place.key), state.went_back, place.error(state)
    if back is not None and back.data.get("target_module") == place.module.id and (last is None or back.seq > last.seq):
        return _after_going_back(back)
    if last is None:
        return _Beginning()
    told = {name: last.data[name] for name in ("edited", "feedback", "left", KEPT) if name in last.data}
    if error is None:
        # It was handed to another host before it began.
        return _Beginning(number=try_of(last), attempt=attempt_of(last), told=told)
    kept: list[JsonValue] = [*kept_for_retry(draft, place, last, error.data.get("error") or {})]
    told |= {KEPT: kept} if kept else {}
    return _Beginning(number=try_of(last), attempt=attempt_of(last) + 1, told=told)


def _after_going_back(back: EventSummary) -> _Beginning:
    names = {"edited": "edited", "feedback": "feedback", "left": "left", "keep_sub_actions": KEPT}
    told = {own: back.data[name] for name, own in names.items() if name in back.data}
    number = back.data.get("try", 1)
    return _Beginning(number=number if isinstance(number, int) else 1, told=told)


def _kept(draft: Draft, data: Mapping[str, JsonValue], module: AnyModule, inputs: Ports) -> dict[str, JsonValue]:
    """Return the ids of the kept sub-actions that count by the inputs of now; what still runs of the others stops."""
    names: Any = data.get(KEPT, ())
    if not names:
        return {}
    known = draft.state.sub_actions
    found = sorted_work(module, inputs, [known[name] for name in names if name in known])
    stop(draft, [sub for sub in (*found.other, *found.gone) if sub.ended is None])
    return {KEPT: [sub.id for sub in found.same]}


def _reused(draft: Draft, place: Place, module: AnyModule, inputs: Ports, digest: str) -> dict[str, JsonValue]:
    """Return which completion with the same inputs is taken over, if there is one that may be."""
    state = draft.state
    reusable: Any = {} if state.went_back is None else state.went_back.data.get("reusable", {})
    known = reusable.get(place.module.id)
    if not isinstance(known, Mapping) or known.get("digest") != digest or place.module.reuse is False:
        return {}
    if place.module.reuse is None and not repeats(module, inputs):
        return {}
    seq: int = known["seq"]
    return {} if past_outputs(draft, place, seq) is None else {"reused_from": seq}


def _timeout(draft: Draft, place: Place, limit: timedelta) -> dict[str, JsonValue]:
    """Start the timer of a module's whole work; its questions have times of their own."""
    run, seq = draft.picture.run, draft.next_seq
    timer_id, until = task_id(run.id, seq), (draft.picture.now + limit).isoformat()
    step, module = place.key
    draft.enqueue(engine_tasks.timer(run, timer_id, limit, step=step, module=module))
    wait: JsonValue = {"kind": "timer", "id": timer_id, "until": until, "label": "timeout"}
    return {"timeout": {"timer_id": timer_id, "until": until}, "_waiting_on": [wait]}


def _hand_off(draft: Draft, place: Place, data: dict[str, JsonValue]) -> None:
    """Ask for a host that has the module's type, unless that was done."""
    last, run = draft.state.started.get(place.key), draft.picture.run
    draft.missing = place.module.type
    if last is not None and "handoff" in last.data and last.data["handoff"] not in draft.ends:
        return
    asked = task_id(run.id, draft.next_seq)
    draft.enqueue(engine_tasks.handoff(run, place.module.type, asked))
    wait: JsonValue = {"kind": "task", "id": asked, "label": f"a host with {place.module.type}"}
    draft.add(E.MODULE_STARTED, *place.key, {**data, "handoff": asked, "_waiting_on": [wait]})


def _hand_on(draft: Draft, place: Place, start: EventSummary) -> None:
    """Ask a host that has the module's type to go on, where there is something to go on with."""
    draft.missing = place.module.type
    waits = draft.state.pending is not None or draft.try_work(place, start).open
    if draft.has_events or not waits:
        run = draft.picture.run
        draft.enqueue(engine_tasks.handoff(run, place.module.type, handoff_id(run.id, draft.next_seq)))
