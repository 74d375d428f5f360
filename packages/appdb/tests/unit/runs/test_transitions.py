"""Transitions: the preconditions of events, and the events that no run accepts."""

from __future__ import annotations

import pytest

from appdb import DbEventType, InvalidDataError
from appdb.models import NewRunEvent
from appdb.runs.preconditions import preconditions
from appdb.runs.transitions import EventSubject
from appsupport.runs.run_events import answered, asked, event, step_started

E = DbEventType


@pytest.mark.parametrize(
    "events",
    [
        [event(E.STEP_STARTED)],
        [event(E.MODULE_COMPLETED, "a")],
        [event(E.INTERACTION_REQUESTED, "a", "m")],
        [event(E.INTERACTION_RESPONSE, interaction_id={"$ne": None})],
        [event(E.RETRY_REQUESTED)],
        [event(E.WORKFLOW_CREATED)],
        [event(E.JUMP_REQUESTED)],
        [event(E.WORKFLOW_RECOVERED)],
        [event(E.WORKFLOW_WAITING)],
        [event(E.WORKFLOW_COMPLETED), step_started("a")],
        [event(E.WORKFLOW_COMPLETED), event(E.WORKFLOW_CANCELLED)],
        [asked("a", "m", "f1"), answered("f2")],
        [answered("f1"), answered("f1")],
    ],
)
def test_incomplete_or_contradictory_events_are_refused(events: list[NewRunEvent]) -> None:
    with pytest.raises(InvalidDataError):
        preconditions([EventSubject.of(new) for new in events])


def test_first_demanding_event_sets_preconditions() -> None:
    subjects = [
        EventSubject.of(new) for new in (answered("f1"), asked("a", "m", "f2"), answered("f2"), step_started("b"))
    ]
    found = preconditions(subjects)

    assert found.interaction_id == "f1"
    assert found.ended == frozenset({None})
    assert preconditions([EventSubject.of(event(E.WORKFLOW_RESUMED)), EventSubject.of(step_started("a"))]).ended is None
