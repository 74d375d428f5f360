"""The fold: the state that events add up to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from appdb import DbEventType
from appdb.models import NewRunEvent, RunEvent, RunState, RunStatus
from appdb.runs.fold import fold_events
from appdb.runs.interactions import interactions, module_attempts
from appdb.runs.transitions import EventSubject
from appsupport.runs.run_events import (
    answered,
    asked,
    completed,
    event,
    started,
    step_completed,
    step_started,
    two_steps,
)

E = DbEventType
AT = datetime(2030, 1, 1, tzinfo=UTC)
CREATED = event(E.WORKFLOW_CREATED)


def stored(events: Iterable[NewRunEvent], first: int = 0) -> list[RunEvent]:
    found = []
    for seq, new in enumerate(events, first):
        subject = EventSubject.of(new)
        about: dict[str, Any] = {
            "step": subject.step,
            "module": subject.module,
            "interaction_id": subject.interaction_id,
        }
        common = {"_id": new.event_id, "run_id": "wf_1", "owner_id": "usr_a", "branch_id": "br_1", "created_at": AT}
        found.append(RunEvent.from_document({**common, **about, "seq": seq, "type": new.type, "data": dict(new.data)}))
    return found


def folded(*events: NewRunEvent) -> RunState:
    return fold_events(stored([CREATED, *events]))


def test_position_follows_events() -> None:
    state = folded(*two_steps())

    assert state.steps_completed == ("write",)
    assert (state.position.step, state.position.module) == ("paint", "picture")
    assert state.status is RunStatus.PROCESSING
    assert state.module_outputs() == {"draft": {"response": "one"}, "choose": {"value": 1}}
    assert state.step_outputs() == {"write": {"draft": {"response": "one"}, "choose": {"value": 1}}}
    assert state.values() == {"text": "one"}


def test_module_completed_twice_counts_once() -> None:
    state = folded(step_started("a"), completed("a", "m", x=1), completed("a", "m", x=2), completed("a", "n"))

    assert state.module_index == 2
    assert state.module_outputs()["m"] == {"x": 2}


def test_last_completion_of_name_is_flat_output() -> None:
    state = folded(completed("a", "m", x=1), completed("b", "m", x=2), completed("a", "m", x=3))

    assert state.module_outputs() == {"m": {"x": 3}}
    assert state.step_outputs() == {"b": {"m": {"x": 2}}, "a": {"m": {"x": 3}}}


def test_answered_interaction_is_not_pending() -> None:
    before = folded(started("a", "m"), asked("a", "m", "form_1", title="?"))
    after = folded(started("a", "m"), asked("a", "m", "form_1"), answered("form_1"))

    assert before.status is RunStatus.AWAITING_INPUT
    assert before.pending is not None
    assert before.pending.data["title"] == "?"
    assert after.pending is None
    assert after.status is RunStatus.PROCESSING


def test_pending_interaction_is_the_newest() -> None:
    state = folded(asked("a", "m", "form_1"), answered("form_1"), asked("a", "n", "form_2"))

    assert state.position.interaction_id == "form_2"


def test_retry_undoes_module_and_later_ones() -> None:
    retry = event(E.RETRY_REQUESTED, target_module="m", feedback="shorter")
    state = folded(step_started("a"), completed("a", "l"), completed("a", "m", x=1), completed("a", "n"), retry)

    assert state.modules_completed == {"a": ("l",)}
    assert state.module_outputs() == {"l": {}}
    assert state.position.step == "a"


def test_retry_in_earlier_step_undoes_later_steps() -> None:
    done = [step_started("a"), completed("a", "m"), step_completed("a"), step_started("b"), completed("b", "n")]
    state = folded(*done, event(E.RETRY_REQUESTED, "a", target_module="m"))

    assert state.steps_completed == ()
    assert state.modules_completed == {}
    assert state.position.step == "a"


def test_sub_action_gives_values_and_keeps_question() -> None:
    sub = event(E.SUB_ACTION_COMPLETED, sub_action_id="s", _state_mapped={"image": "gc_1"})
    state = folded(asked("a", "m", "form_1"), event(E.SUB_ACTION_STARTED, sub_action_id="s"), sub)

    assert state.values() == {"image": "gc_1"}
    assert state.status is RunStatus.AWAITING_INPUT


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (E.WORKFLOW_COMPLETED, RunStatus.COMPLETED),
        (E.WORKFLOW_ERROR, RunStatus.ERROR),
        (E.WORKFLOW_CANCELLED, RunStatus.CANCELLED),
        (E.WORKFLOW_TARGET_REACHED, RunStatus.TARGET_REACHED),
        (E.WORKFLOW_VALIDATION_FAILED, RunStatus.VALIDATION_FAILED),
    ],
)
def test_ended_run_has_no_pending_until_resumed(ending: DbEventType, status: RunStatus) -> None:
    ended = [step_started("a"), asked("a", "m", "form_1"), event(ending, error="no")]

    assert folded(*ended).status is status
    assert folded(*ended).pending is None
    assert folded(*ended, event(E.WORKFLOW_RESUMED)).status is RunStatus.PROCESSING


def test_waiting_run_begins_when_resumed_and_can_end_before() -> None:
    waiting = event(E.WORKFLOW_WAITING)
    begun = folded(waiting, event(E.WORKFLOW_RESUMED))

    assert (folded(waiting).status, begun.status) == (RunStatus.WAITING, RunStatus.PROCESSING)
    assert not begun.position.waiting
    cancelled = (waiting, event(E.WORKFLOW_CANCELLED))
    assert folded(*cancelled).status is RunStatus.CANCELLED
    assert folded(*cancelled, event(E.WORKFLOW_CREATED)).status is RunStatus.CREATED


def test_reset_clears_everything() -> None:
    state = folded(*two_steps(), event(E.WORKFLOW_CREATED, reset=True))

    assert state.status is RunStatus.CREATED
    assert (state.steps_completed, state.module_outputs(), state.values()) == ((), {}, {})


def test_beginning_and_last_way_back_are_kept() -> None:
    begun = event(E.WORKFLOW_CREATED, input={"topic": "sea"})
    back = event(E.RETRY_REQUESTED, "write", "draft", **{"target_module": "draft", "try": 2})
    state = fold_events(stored([begun, *two_steps(), back, started("write", "draft")]))
    assert state.created is not None
    assert state.created.data == {"input": {"topic": "sea"}}
    assert state.went_back is not None
    assert state.went_back.data["try"] == 2
    again = fold_events(stored([event(E.WORKFLOW_CREATED)], state.seq + 1), state)
    assert again.created is not None
    assert again.created.seq == again.seq
    assert again.went_back is None


def test_last_error_stays_until_run_goes_on() -> None:
    failed = [event(E.MODULE_ERROR, "a", "m", error="no"), event(E.WORKFLOW_ERROR, error="no")]

    assert folded(*failed).error is not None
    assert folded(*failed, event(E.WORKFLOW_RESUMED)).error is None


def test_interactions_pair_requests_with_first_answers() -> None:
    found = interactions(
        stored([asked("a", "m", "f1"), answered("f1", n=1), answered("f1", n=2), asked("a", "n", "f2")])
    )

    assert [(pair.request.interaction_id, pair.response and pair.response.data["n"]) for pair in found] == [
        ("f1", 1),
        ("f2", None),
    ]


def test_expired_interaction_takes_no_answer() -> None:
    expired = event(E.INTERACTION_EXPIRED, interaction_id="f1")
    (found,) = interactions(stored([asked("a", "m", "f1"), expired, answered("f1", n=1)]))

    assert found.response is None
    assert found.expired is not None
    assert found.expired.id == expired.event_id


def test_module_attempts_tell_inputs_and_feedback() -> None:
    first = event(E.RETRY_REQUESTED, target_module="m", feedback="shorter")
    second = event(E.RETRY_REQUESTED, target_module="m", feedback="longer")
    found = module_attempts(
        stored([completed("a", "m", {"t": 1}, x=1), first, completed("a", "m", x=2), second, second])
    )

    assert [(attempt.outputs, attempt.feedback and attempt.feedback["feedback"]) for attempt in found] == [
        ({"x": 1}, "shorter"),
        ({"x": 2}, "longer"),
        (None, "longer"),
    ]


@pytest.mark.parametrize("mends", ["MODULE_STARTED", "MODULE_COMPLETED", "MODULE_SKIPPED"])
def test_error_ends_when_its_module_goes_on(mends: str) -> None:
    failed = [NewRunEvent(type=DbEventType[name], step="s", module="m") for name in ("MODULE_STARTED", "MODULE_ERROR")]
    begun = NewRunEvent(type=DbEventType.STEP_STARTED, step="s")
    goes_on = NewRunEvent(type=DbEventType[mends], step="s", module="m")
    other = NewRunEvent(type=DbEventType[mends], step="s", module="n")

    assert folded(begun, *failed, other).error is not None
    assert folded(begun, *failed, goes_on).error is None
