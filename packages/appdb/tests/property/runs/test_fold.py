"""The fold, for any history: deterministic, the same from any snapshot, blind behind a cutoff, never unlawful."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appdb import DbEventType
from appdb.models import RunState
from appdb.models.snapshots import CompactState
from appdb.runs.compact import compact, expand, named_events
from appdb.runs.fold import fold_events
from appdb.runs.lineage import next_seq, truncated
from appsupport.runs.run_checks import check_lawful
from appsupport.runs.run_events import event
from appsupport.runs.run_model import RunModel
from appsupport.runs.run_steps import (
    ANY_STEP,
    WORKFLOWS,
    Again,
    Append,
    Fork,
    Jump,
    Module,
    Recover,
    Reset,
    Step,
    Switch,
    possible,
    straight,
)

HISTORIES = st.lists(ANY_STEP, max_size=25)
MANY = settings(max_examples=400, deadline=None)


def made(history: list[Step]) -> RunModel:
    model = RunModel()
    for step in history:
        possible(step, model)
    return model


@MANY
@given(HISTORIES)
def test_any_history_gives_lawful_state_and_caches(history: list[Step]) -> None:
    model = RunModel()
    for step in history:
        before = list(model.log)
        possible(step, model)

        assert model.log[: len(before)] == before, "events are never changed"
        state = model.state
        check_lawful(state, {entry.seq for entry in model.counting})
        assert model.cached == state.position


@MANY
@given(HISTORIES)
def test_fold_is_deterministic_and_pure(history: list[Step]) -> None:
    counting = made(history).counting
    states = [fold_events(counting[:place]) for place in range(len(counting) + 1)]

    again = fold_events([])
    for place, entry in enumerate(counting):
        assert again == states[place]
        again = fold_events([entry], again)
    assert again == states[-1] == fold_events(counting)
    assert states == [fold_events(counting[:place]) for place in range(len(counting) + 1)]


@MANY
@given(HISTORIES, st.integers(0, 100))
def test_fold_from_any_snapshot_is_equal(history: list[Step], pick: int) -> None:
    counting = made(history).counting
    place = pick % (len(counting) + 1)
    state = fold_events(counting[:place])
    compacted = compact(state)
    by_id = {entry.id: entry for entry in counting[:place]}
    stored = CompactState.from_document(compacted)
    assert stored.events == tuple(sorted({by_id[key].seq for key in named_events(stored)}))
    whole = expand(stored, {key: by_id[key] for key in named_events(stored)})

    assert whole == state
    assert fold_events(counting[place:], whole) == fold_events(counting)


@MANY
@given(HISTORIES, HISTORIES, st.integers(0, 1_000))
def test_events_after_cutoff_are_never_seen(first: list[Step], later: list[Step], pick: int) -> None:
    model = made(first)
    lineage = model.lineages[model.branch]
    seq = [entry.seq for entry in model.counting][pick % len(model.counting)]
    kept = truncated(lineage, seq)
    state = fold_events(model.along(kept))
    for step in later:
        possible(step, model)

    assert fold_events(model.along(kept)) == state
    assert state.seq == seq
    assert all(entry.seq <= seq for entry in model.along(kept))


@MANY
@given(HISTORIES)
def test_every_lineage_is_dense(history: list[Step]) -> None:
    model = made(history)
    for lineage in model.lineages.values():
        along = model.along(lineage)
        seqs = [entry.seq for entry in along]
        assert seqs == sorted(seqs)
        last = -1
        for seq in seqs:
            assert next_seq(lineage, last) == seq
            last = seq


@MANY
@given(WORKFLOWS, st.integers(0, 100), st.integers(0, 100))
def test_retry_shows_same_state_as_jump(workflow: list[list[Module]], until: int, pick: int) -> None:
    log = straight(workflow)
    so_far = log[: 1 + until % len(log)]
    begun = [(new.step, new.module) for new in so_far if new.type is DbEventType.MODULE_STARTED]
    assume(begun)
    step, module = begun[pick % len(begun)]
    assert step is not None
    retried, jumped = RunModel(), RunModel()
    for model in (retried, jumped):
        for new in so_far:
            model.append([new])
    retried.append([event(DbEventType.RETRY_REQUESTED, step, module)])
    jumped.jump(step, module)

    assert _shown(retried.state) == _shown(jumped.state)


def _shown(state: RunState) -> dict[str, object]:
    """Return what a state shows, but for where its events are."""
    names: tuple[str, ...] = (
        "position",
        "steps_completed",
        "modules_completed",
        "pending",
        "error",
        "outputs",
        "state_values",
    )
    names += ("waiting_on", "sub_actions", "signals", "taken", "started", "responses")
    return {name: getattr(state, name) for name in names} | {"values": state.values()}


def test_generated_histories_cover_every_step() -> None:
    done: Counter[tuple[type[Step], bool]] = Counter()

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(HISTORIES)
    def count(history: list[Step]) -> None:
        model = RunModel()
        for step in history:
            done[type(step), possible(step, model)] += 1

    count()
    worked = {kind for kind, well in done if well}
    assert worked == {Append, Fork, Jump, Again, Reset, Recover, Switch}
    assert {kind for kind, well in done if not well} == {Append, Jump, Again, Switch}
