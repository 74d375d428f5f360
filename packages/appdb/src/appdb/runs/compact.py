"""Compact states: run states with event ids in place of event data, as snapshots store them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from appdb.events import DbEventType
from appdb.models.events import EventSummary, RunEvent
from appdb.models.ongoing import SubAction, TakenSignal, Wait
from appdb.models.run_state import Given, RunState
from appdb.models.snapshots import CompactState, StoredSignal, StoredSubAction, StoredWait
from appdb.models.vocabulary import word
from appdb.runs.reserved_data import signal_id_of, waits_of


def compact(state: RunState) -> dict[str, Any]:
    """Return *state* with ids in the place of events."""
    # Names that users gave are values here, never keys: MongoDB gives "." and "$" in a key a meaning.
    return {
        "seq": state.seq,
        "stable_seq": state.stable_seq,
        "last_type": state.last_type,
        "position": state.position.model_dump(),
        "steps": list(state.steps_completed),
        "events": sorted(_numbers(state)),
        "modules": [{"step": step, "names": list(names)} for step, names in state.modules_completed.items()],
        "outputs": [kept.event_id for kept in state.outputs.values()],
        "given": [_named(given) for given in state.given],
        "pending": state.pending and state.pending.event_id,
        "error": state.error and state.error.event_id,
        "unknown_type": state.unknown_type,
        "waits": [_stored_wait(wait) for wait in state.waiting_on],
        "sub_actions": [_stored_sub_action(sub) for sub in state.sub_actions.values()],
        "signals": [kept.event_id for kept in state.signals],
        "taken": [_stored_signal(taken) for taken in state.taken.values()],
        "started": [kept.event_id for kept in state.started.values()],
        "responses": [kept.event_id for kept in state.responses.values()],
        "created": state.created and state.created.event_id,
        "went_back": state.went_back and state.went_back.event_id,
    }


def named_events(compacted: CompactState) -> set[str]:
    """Return the ids of the events that a compacted state needs to be whole again."""
    ongoing = [event for sub in compacted.sub_actions for event in (sub.started, sub.ended)]
    named = [entry.event for entries in (compacted.given, compacted.waits, compacted.taken) for entry in entries]
    alone = (*compacted.outputs, *compacted.signals, *compacted.started, *compacted.responses)
    single = (compacted.pending, compacted.error, compacted.created, compacted.went_back)
    return {event for event in (*ongoing, *named, *alone, *single) if event is not None}


def _numbers(state: RunState) -> set[int]:
    """Return the numbers of the events that *state* keeps, those of ``named_events``."""
    kept = [*state.outputs.values(), *state.signals, *state.started.values(), *state.responses.values()]
    kept += [given.kept for given in state.given]
    kept += [taken.signal for taken in state.taken.values()]
    kept += [sub.started for sub in state.sub_actions.values()]
    may_be_none = [sub.ended for sub in state.sub_actions.values()]
    may_be_none += [state.pending, state.error, state.created, state.went_back]
    kept += [event for event in may_be_none if event is not None]
    return {event.seq for event in kept} | {wait.seq for wait in state.waiting_on}


def expand(compacted: CompactState, events: Mapping[str, RunEvent]) -> RunState:
    """Return the state that was compacted; *events* holds those that it names, by id."""
    kept = {event_id: EventSummary.of(event) for event_id, event in events.items()}
    outputs = [kept[event_id] for event_id in compacted.outputs]
    return RunState(
        seq=compacted.seq,
        stable_seq=compacted.stable_seq,
        last_type=None if compacted.last_type is None else word(DbEventType, compacted.last_type),
        position=compacted.position,
        steps_completed=compacted.steps,
        modules_completed={entry.step: entry.names for entry in compacted.modules},
        outputs={(output.step or "", output.module or ""): output for output in outputs},
        given=tuple(
            Given(name=entry.name, step=entry.step, module=entry.module, kept=kept[entry.event])
            for entry in compacted.given
        ),
        pending=None if compacted.pending is None else kept[compacted.pending],
        unknown_type=compacted.unknown_type,
        error=None if compacted.error is None else kept[compacted.error],
        waiting_on=tuple(_waits(compacted.waits, kept)),
        sub_actions={stored.id: _sub_action(stored, kept) for stored in compacted.sub_actions},
        signals=tuple(kept[event_id] for event_id in compacted.signals),
        taken=dict(_taken(stored, kept[stored.event]) for stored in compacted.taken),
        started={(start.step or "", start.module or ""): start for start in map(kept.__getitem__, compacted.started)},
        responses={str(kept[event_id].data["interaction_id"]): kept[event_id] for event_id in compacted.responses},
        created=None if compacted.created is None else kept[compacted.created],
        went_back=None if compacted.went_back is None else kept[compacted.went_back],
    )


def _stored_wait(wait: Wait) -> dict[str, str | None]:
    named = {"kind": wait.kind.value, "id": wait.id, "step": wait.step, "module": wait.module}
    return {**named, "event": wait.event_id}


def _waits(stored: Iterable[StoredWait], kept: Mapping[str, EventSummary]) -> Iterator[Wait]:
    # One event may begin hundreds of waits: read once.
    begun: dict[tuple[str, str | None, str | None], dict[tuple[str, str], Wait]] = {}
    for wait in stored:
        place = (wait.event, wait.step, wait.module)
        if place not in begun:
            begun[place] = waits_of(kept[wait.event], wait.step, wait.module)
        yield begun[place][wait.kind, wait.id]


def _stored_signal(taken: TakenSignal) -> dict[str, str | None]:
    by = {"step": taken.step, "module": taken.module, "sub_action_id": taken.sub_action_id}
    return {**by, "event": taken.signal.event_id}


def _taken(stored: StoredSignal, signal: EventSummary) -> tuple[str, TakenSignal]:
    taken = TakenSignal(signal=signal, step=stored.step, module=stored.module, sub_action_id=stored.sub_action_id)
    return signal_id_of(signal), taken


def _stored_sub_action(sub: SubAction) -> dict[str, str | None]:
    ended = None if sub.ended is None else sub.ended.event_id
    return {"id": sub.id, "step": sub.step, "module": sub.module, "started": sub.started.event_id, "ended": ended}


def _sub_action(stored: StoredSubAction, kept: Mapping[str, EventSummary]) -> SubAction:
    ended = None if stored.ended is None else kept[stored.ended]
    return SubAction(id=stored.id, step=stored.step, module=stored.module, started=kept[stored.started], ended=ended)


def _named(given: Given) -> dict[str, str]:
    return {"name": given.name, "step": given.step, "module": given.module, "event": given.kept.event_id}
