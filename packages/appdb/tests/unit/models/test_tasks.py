"""States of tasks, and the events that end them."""

from __future__ import annotations

from appdb import TaskEventType, TaskState
from appdb.models import FINAL_STATES, LIVE_STATES


def test_every_state_is_live_or_has_final_event() -> None:
    assert set(TaskState) == LIVE_STATES | FINAL_STATES
    assert {event.value for event in TaskEventType if event.terminal} == {state.value for state in FINAL_STATES}
