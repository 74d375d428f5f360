"""Kept states: the state of a run at exactly one place, unchanged by whoever got it, within bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appdb import DbEventType, fold_events
from appdb.models import Position, Run, RunEvent, RunState, RunStatus, RunView
from appserver.engine.runner.kept_states import READ_AFTER_EVENTS, RUN_BYTES, KeptStates

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run_at(count: int = 2, run_id: str = "wf_1", **changes: Any) -> Run:
    known: dict[str, Any] = {
        "owner_id": "usr_a",
        "project": "film",
        "branch_id": "br_1",
        "status": RunStatus.PROCESSING,
        "open": True,
        "position": Position(),
        "event_count": count,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Run(_id=run_id, **known | changes)


def state_of(*values: object) -> RunState:
    """Return the state behind modules that gave *values*."""
    told: list[dict[str, Any]] = [
        {"run_id": "wf_1", "owner_id": "usr_a", "branch_id": "br_1", "created_at": NOW}
    ] * len(values)
    return fold_events(
        RunEvent(
            _id=f"evt_{at}", seq=at, type=DbEventType.MODULE_COMPLETED, step="s", module=f"m{at}", data=data, **one
        )
        for at, (one, data) in enumerate(zip(told, ({"value": value} for value in values), strict=True))
    )


def test_state_is_found_at_its_place_alone() -> None:
    kept, state = KeptStates(), state_of(1, 2)
    kept.keep_read(RunView(run=run_at(), state=state))

    assert kept.find(run_at()) == state
    for elsewhere in (
        run_at(3),
        run_at(branch_id="br_2"),
        run_at(updated_at=NOW + timedelta(milliseconds=1)),
        run_at(run_id="wf_2"),
    ):
        assert kept.find(elsewhere) is None


def test_what_is_changed_in_a_state_stays_with_whoever_changed_it() -> None:
    kept, state = KeptStates(), state_of({"list": [1]})
    kept.keep_read(RunView(run=run_at(), state=state))
    for given in (state, kept.find(run_at())):
        assert given is not None
        given.outputs["s", "m0"].data["value"]["list"].append(2)

    found = kept.find(run_at())
    assert found is not None
    assert found.outputs["s", "m0"].data["value"] == {"list": [1]}


def test_run_that_was_written_for_long_is_read_again() -> None:
    kept = KeptStates()
    kept.keep_read(RunView(run=run_at(10), state=state_of(1)))
    found = []
    for count in (10 + READ_AFTER_EVENTS - 1, 10 + READ_AFTER_EVENTS):
        kept.keep_written(RunView(run=run_at(count), state=state_of(1)))
        found.append((kept.find(run_at(count)) is not None, kept.presumed("wf_1", "usr_a") is not None))

    assert found == [(True, True), (False, False)]


def test_run_is_presumed_where_this_host_has_left_it() -> None:
    kept = KeptStates()
    kept.keep_read(RunView(run=run_at(2), state=state_of(1)))
    kept.keep_written(RunView(run=run_at(3), state=state_of(1, 2)))

    assert kept.presumed("wf_1", "usr_a") == RunView(run=run_at(3), state=state_of(1, 2))
    assert kept.presumed("wf_1", "usr_b") is None
    assert kept.presumed("wf_2", "usr_a") is None


def test_run_that_another_host_has_written_to_is_not_presumed() -> None:
    kept = KeptStates()
    for count in (2, 3):
        kept.keep_read(RunView(run=run_at(count), state=state_of(1)))
    kept.keep_written(RunView(run=run_at(4), state=state_of(1)))

    assert kept.presumed("wf_1", "usr_a") is None
    assert kept.find(run_at(4)) is not None


def test_forgotten_run_may_have_changed() -> None:
    kept = KeptStates()
    kept.keep_read(RunView(run=run_at(2), state=state_of(1)))
    kept.forget("wf_1")
    assert kept.presumed("wf_1", "usr_a") is None
    kept.keep_read(RunView(run=run_at(3), state=state_of(1)))

    assert kept.presumed("wf_1", "usr_a") is not None


def test_run_that_was_read_twice_is_presumed() -> None:
    kept = KeptStates()
    for _ in range(2):
        kept.keep_read(RunView(run=run_at(), state=state_of(1)))

    assert kept.presumed("wf_1", "usr_a") is not None


@pytest.mark.parametrize("use_first", [True, False])
def test_states_that_were_not_used_lately_go_first(use_first: bool) -> None:
    kept = KeptStates(most_bytes=2 * (10_000 + RUN_BYTES) + 5_000, largest_bytes=12_000)
    first, second, third = (run_at(run_id=name) for name in ("wf_1", "wf_2", "wf_3"))
    for run in (first, second):
        kept.keep_read(RunView(run=run, state=state_of("x" * 10_000)))
    assert use_first is False or kept.find(first) is not None
    kept.keep_read(RunView(run=third, state=state_of("x" * 10_000)))

    assert [run.id for run in (first, second, third) if run.id in kept] == [
        "wf_1" if use_first else "wf_2",
        "wf_3",
    ]


def test_large_state_is_not_kept_nor_the_one_before_it() -> None:
    kept = KeptStates(most_bytes=100_000, largest_bytes=12_000)
    kept.keep_read(RunView(run=run_at(), state=state_of(1)))
    kept.keep_written(RunView(run=run_at(3), state=state_of("x" * 20_000)))

    assert "wf_1" not in kept
