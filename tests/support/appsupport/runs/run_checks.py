"""Checks that the state of a run contradicts neither itself nor the run's events."""

from __future__ import annotations

from appdb.models import OPEN_STATUSES, Run, RunState, RunStatus, WaitKind


def check_lawful(state: RunState, seqs: set[int]) -> None:
    """Check that *state* contradicts neither itself nor the events *seqs* that count."""
    position = state.position
    assert len(set(state.steps_completed)) == len(state.steps_completed)
    assert position.step not in state.steps_completed
    for names in state.modules_completed.values():
        assert len(set(names)) == len(names) > 0
    assert (state.pending is None) == (position.interaction_id is None)
    if state.pending is not None:
        assert state.pending.data["interaction_id"] == position.interaction_id
        assert state.status is RunStatus.AWAITING_INPUT
    asked = [wait.id for wait in state.waiting_on if wait.kind is WaitKind.INTERACTION]
    assert asked == [name for name in (position.interaction_id,) if name is not None]
    assert position.ended is None or not state.waiting_on
    assert position.module is not None or not state.responses
    assert len({(wait.kind, wait.id) for wait in state.waiting_on}) == len(state.waiting_on)
    assert -1 <= state.stable_seq <= state.seq == max(seqs)
    done = {(step, module) for step, names in state.modules_completed.items() for module in names}
    assert set(state.outputs) <= done, "what is to be seen is what does not have to run again"
    begun = [event for sub in state.sub_actions.values() for event in (sub.started, sub.ended)]
    taken = [one.signal for one in state.taken.values()]
    assert not {kept.seq for kept in taken} & {kept.seq for kept in state.signals}
    ongoing = [*begun, *taken, *state.signals, *state.started.values(), *state.responses.values()]
    single = [state.pending, state.error, state.created, state.went_back]
    kept = [*state.outputs.values(), *state.state_values.values(), *ongoing, *single]
    assert {entry.seq for entry in kept if entry is not None} <= seqs


def check_cache(run: Run, state: RunState) -> None:
    """Check that what the run's document says is what its events say."""
    assert (run.status, run.position) == (state.status, state.position)
    assert run.open is (state.status in OPEN_STATUSES and run.parent_id is None)
    assert (run.completed_at is None) is not run.status.closed
