"""What is under way in a run: waits, sub-actions, messages, starts and answers, as events begin and end them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appdb import ConflictError, DbEventType, InvalidDataError, check_events, fold_events
from appdb.models import NewRunEvent, RunEvent, RunState, WaitKind
from appdb.runs.transitions import EventSubject
from appsupport.runs.run_events import answered, asked, completed, event, started, step_completed, step_started

E = DbEventType
AT = datetime(2030, 1, 1, tzinfo=UTC)
TASK = {"kind": "task", "id": "t1", "label": "drawing", "until": "2030-01-01T02:00:00+02:00"}
TIMER = {"kind": "timer", "id": "c1"}


def stored(events: Iterable[NewRunEvent]) -> list[RunEvent]:
    found = []
    for seq, new in enumerate(events):
        subject = EventSubject.of(new)
        row: dict[str, Any] = {"_id": new.event_id, "run_id": "wf_1", "owner_id": "usr_a", "branch_id": "br_1"}
        about = {"step": subject.step, "module": subject.module, "interaction_id": subject.interaction_id}
        at = AT + timedelta(seconds=seq)
        row |= {**about, "seq": seq, "type": new.type, "data": dict(new.data), "created_at": at}
        found.append(RunEvent.from_document(row))
    return found


def folded(*events: NewRunEvent) -> RunState:
    return fold_events(stored([event(E.WORKFLOW_CREATED), step_started("a"), *events]))


def sub(kind: DbEventType, name: str, *waits: dict[str, str], **data: Any) -> NewRunEvent:
    told = {"_waiting_on": list(waits)} if waits else {}
    return event(kind, "a", "m", sub_action_id=name, **told, **data)


def waits(state: RunState) -> list[str]:
    return [wait.id for wait in state.waiting_on]


def test_wait_tells_what_since_and_until() -> None:
    state = folded(started("a", "m"), sub(E.SUB_ACTION_STARTED, "m/1", TASK, TIMER))
    task, timer = state.waiting_on

    assert (task.kind, task.id, task.label, task.step, task.module) == (WaitKind.TASK, "t1", "drawing", "a", "m")
    assert (task.since, task.until, task.sub_action_id) == (AT + timedelta(seconds=3), AT, "m/1")
    assert (timer.kind, timer.label, timer.until) == (WaitKind.TIMER, None, None)


def test_pending_question_is_a_wait() -> None:
    named = {"kind": "interaction", "label": "Which?", "until": "2030-02-01T00:00:00Z"}
    plain = folded(started("a", "m"), asked("a", "m", "f1"))
    told = folded(started("a", "m"), asked("a", "m", "f1", _waiting_on=[named]))

    assert [(wait.kind, wait.id, wait.label) for wait in plain.waiting_on] == [(WaitKind.INTERACTION, "f1", None)]
    assert [(wait.id, wait.label) for wait in told.waiting_on] == [("f1", "Which?")]
    assert told.waiting_on[0].until == datetime(2030, 2, 1, tzinfo=UTC)


WAITING = [started("a", "m"), sub(E.SUB_ACTION_STARTED, "m/1", TASK), sub(E.SUB_ACTION_STARTED, "m/2", TIMER)]


@pytest.mark.parametrize(
    ("end", "left"),
    [
        (sub(E.SUB_ACTION_COMPLETED, "m/1"), ["c1"]),
        (sub(E.SUB_ACTION_FAILED, "m/1", error="no"), ["c1"]),
        (sub(E.SUB_ACTION_STARTED, "m/1"), ["c1"]),
        (event(E.TIMER_FIRED, timer_id="c1"), ["t1"]),
        (event(E.TIMER_FIRED, timer_id="t1"), ["t1", "c1"]),
        (completed("a", "m"), []),
        (completed("a", "other"), ["t1", "c1"]),
        (event(E.MODULE_SKIPPED, "a", "m"), []),
        (event(E.MODULE_ERROR, "a", "m", error="no"), []),
        (step_completed("a"), []),
        (event(E.RETRY_REQUESTED, target_module="m"), []),
        (event(E.RETRY_REQUESTED, target_module="m", keep_sub_actions=["m/2"]), ["c1"]),
        (event(E.JUMP_REQUESTED, "a", "m"), []),
        (event(E.WORKFLOW_ERROR), []),
        (event(E.WORKFLOW_CANCELLED), []),
        (started("a", "m"), ["t1", "c1"]),
    ],
)
def test_waits_end_with_what_they_are_for(end: NewRunEvent, left: list[str]) -> None:
    assert waits(folded(*WAITING, end)) == left


@pytest.mark.parametrize("settles", [E.INTERACTION_RESPONSE, E.INTERACTION_EXPIRED])
def test_settled_question_is_no_wait(settles: DbEventType) -> None:
    state = folded(started("a", "m"), asked("a", "m", "f1"), event(settles, interaction_id="f1"))

    assert (state.waiting_on, state.pending, state.position.interaction_id) == ((), None, None)
    assert [(name, kept.type) for name, kept in state.responses.items()] == [("f1", settles)]


def test_answers_are_those_of_the_open_module() -> None:
    asks = [asked("a", "m", "f1"), answered("f1"), asked("a", "m", "f2"), answered("f2")]

    assert list(folded(started("a", "m"), *asks).responses) == ["f1", "f2"]
    for over in (completed("a", "m"), started("a", "m"), event(E.RETRY_REQUESTED, target_module="m")):
        assert folded(started("a", "m"), *asks, over).responses == {}


def test_sub_actions_have_results_by_item() -> None:
    ends = [sub(E.SUB_ACTION_COMPLETED, "m/1", result=1), sub(E.SUB_ACTION_FAILED, "m/2", error="no")]
    state = folded(*WAITING, sub(E.SUB_ACTION_STARTED, "m/3"), *ends, completed("a", "m"))
    first, second, third = state.sub_actions.values()

    assert (first.id, first.failed, first.ended and first.ended.data["result"]) == ("m/1", False, 1)
    assert (second.id, second.failed) == ("m/2", True)
    assert (third.id, third.failed, third.ended) == ("m/3", False, None)
    assert (third.step, third.module) == ("a", "m")


def test_second_try_of_sub_action_replaces_first() -> None:
    state = folded(*WAITING, sub(E.SUB_ACTION_FAILED, "m/1", error="no"), sub(E.SUB_ACTION_STARTED, "m/1", TASK))

    assert list(state.sub_actions) == ["m/2", "m/1"]
    assert state.sub_actions["m/1"].ended is None
    assert waits(state) == ["c1", "t1"]


@pytest.mark.parametrize(("kept", "left"), [([], []), (["m/1"], ["m/1"]), (["m/2", "m/9"], ["m/2"])])
def test_retry_keeps_named_sub_actions_alone(kept: list[str], left: list[str]) -> None:
    ends = [sub(E.SUB_ACTION_COMPLETED, "m/1"), sub(E.SUB_ACTION_FAILED, "m/2", error="no"), completed("a", "m")]
    state = folded(*WAITING, *ends, event(E.RETRY_REQUESTED, target_module="m", keep_sub_actions=kept))

    assert list(state.sub_actions) == left
    assert list(folded(*WAITING, *ends).sub_actions) == ["m/1", "m/2"]
    assert list(folded(*WAITING, *ends, step_started("a")).sub_actions) == []


def test_messages_stay_until_they_are_taken() -> None:
    news = [event(E.SIGNAL_RECEIVED, name="news", signal_id=f"s{number}", payload=number) for number in range(3)]
    state = folded(*news, event(E.WORKFLOW_TARGET_REACHED), event(E.WORKFLOW_RESUMED), started("a", "m"))
    taken = folded(*news, started("a", "m"), completed("a", "m", _takes=["s1"], value=1))

    assert [kept.data["payload"] for kept in state.signals] == [0, 1, 2]
    assert [kept.data["signal_id"] for kept in taken.signals] == ["s0", "s2"]
    assert taken.module_outputs() == {"m": {"value": 1}}


@pytest.mark.parametrize(("kept", "left"), [([], ["s0", "s1"]), (["m/1"], ["s1"])])
def test_undone_module_gives_messages_back(kept: list[str], left: list[str]) -> None:
    news = [event(E.SIGNAL_RECEIVED, name="news", signal_id=f"s{number}") for number in range(2)]
    takes = [sub(E.SUB_ACTION_STARTED, "m/1"), sub(E.SUB_ACTION_COMPLETED, "m/1", _takes=["s0"])]
    done = [*news, started("a", "m"), *takes, completed("a", "m", _takes=["s1"])]
    retry = event(E.RETRY_REQUESTED, target_module="m", keep_sub_actions=kept)
    told_again = event(E.SIGNAL_RECEIVED, name="news", signal_id="s0")

    assert list(folded(*done).taken) == ["s0", "s1"]
    assert folded(*done, told_again).signals == ()
    assert [kept.data["signal_id"] for kept in folded(*done, retry).signals] == left


def test_skipped_module_is_done_and_gave_nothing() -> None:
    state = folded(started("a", "l"), completed("a", "l", x=1), event(E.MODULE_SKIPPED, "a", "m"))

    assert state.modules_completed == {"a": ("l", "m")}
    assert (state.module_outputs(), state.position.module) == ({"l": {"x": 1}}, None)


def test_last_start_of_each_module_is_known() -> None:
    begun = [started("a", "l"), completed("a", "l"), event(E.MODULE_STARTED, "a", "m", attempt=1)]
    again = [*begun, event(E.MODULE_ERROR, "a", "m", error="no"), event(E.MODULE_STARTED, "a", "m", attempt=2)]

    assert folded(*again).started["a", "m"].data == {"attempt": 2}
    assert list(folded(*again, event(E.RETRY_REQUESTED, target_module="m")).started) == [("a", "l")]


@pytest.mark.parametrize(
    "waits",
    [
        "soon",
        [{"kind": "task"}],
        [{"kind": "moon", "id": "t1"}],
        [{"kind": "task", "id": 1}],
        [{"kind": "timer", "id": "c1", "until": "2030-01-01T00:00:00"}],
        [{"kind": "timer", "id": "c1", "until": "soon"}],
        [{"kind": "timer", "id": "c1", "label": 1}],
        ["t1"],
    ],
)
def test_waits_of_another_shape_are_refused_or_passed_over(waits: Any) -> None:
    wrong = event(E.MODULE_STARTED, "a", "m", _waiting_on=waits)
    with pytest.raises(InvalidDataError, match="_waiting_on must be a list"):
        check_events([wrong], RunState())

    # Logs of other hands are read all the same.
    assert folded(wrong).position.module == "m"


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        (event(E.OUTPUT_STORED, _takes="s1"), "_takes must be a list of ids"),
        (event(E.RETRY_REQUESTED, "a", "m", keep_sub_actions={"m/1": 1}), "keep_sub_actions must be a list of ids"),
        (event(E.TIMER_FIRED), "its data needs a timer_id"),
        (event(E.SIGNAL_RECEIVED, name="news"), "its data needs a signal_id"),
        (event(E.SUB_ACTION_FAILED, error="no"), "its data needs a sub_action_id"),
        (event(E.MODULE_SKIPPED, "a"), "it needs a module"),
        (event(E.BRANCH_SWITCHED), "it begins a branch"),
    ],
)
def test_new_events_lack_nothing_that_is_read(new: NewRunEvent, problem: str) -> None:
    with pytest.raises(InvalidDataError, match=problem):
        check_events([new], RunState())


def test_state_refuses_what_an_append_would() -> None:
    asking = folded(started("a", "m"), asked("a", "m", "f1"))
    ended = folded(event(E.WORKFLOW_COMPLETED))

    check_events([answered("f1"), completed("a", "m")], asking)
    check_events([event(E.SIGNAL_RECEIVED, name="news", signal_id="s1")], asking)
    check_events([event(E.INTERACTION_EXPIRED, interaction_id="f1")], asking)
    for new, state, problem in (
        (answered("f2"), asking, "interaction 'f2' is not pending"),
        (asked("a", "m", "f2"), asking, "interaction 'f1' is pending"),
        (event(E.TIMER_FIRED, timer_id="c1"), ended, "it is completed"),
        (event(E.SIGNAL_RECEIVED, name="news", signal_id="s1"), ended, "it is completed"),
    ):
        with pytest.raises(ConflictError, match=problem):
            check_events([new], state)
