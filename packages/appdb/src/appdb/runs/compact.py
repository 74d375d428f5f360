"""Compact states: run states with event ids in place of event data, as snapshots store them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appdb.events import DbEventType
from appdb.models.events import RunEvent
from appdb.models.run_state import EventSummary, Given, RunState
from appdb.models.snapshots import CompactState
from appdb.models.vocabulary import word


def compact(state: RunState) -> dict[str, Any]:
    """Return *state* with ids in the place of events."""
    # Names that users gave are values here, never keys: MongoDB gives "." and "$" in a key a meaning.
    return {
        "seq": state.seq,
        "stable_seq": state.stable_seq,
        "last_type": state.last_type,
        "position": state.position.model_dump(),
        "steps": list(state.steps_completed),
        "modules": [{"step": step, "names": list(names)} for step, names in state.modules_completed.items()],
        "outputs": [kept.event_id for kept in state.outputs.values()],
        "given": [_named(given) for given in state.given],
        "pending": state.pending and state.pending.event_id,
        "error": state.error and state.error.event_id,
        "unknown_type": state.unknown_type,
    }


def named_events(compacted: CompactState) -> set[str]:
    """Return the ids of the events that a compacted state needs to be whole again."""
    named = [*compacted.outputs, *(entry.event for entry in compacted.given)]
    return {event for event in (*named, compacted.pending, compacted.error) if event is not None}


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
    )


def _named(given: Given) -> dict[str, str]:
    return {"name": given.name, "step": given.step, "module": given.module, "event": given.kept.event_id}
