"""Pure parts: ids, literals, topics."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appdb import TaskEventType, TaskState, uuid7_str
from appdb._queries import tasks as queries
from appdb._queries.clock import from_now
from appdb.feed import TASKS_READY, task_topic, topics_of
from appdb.models import FINAL_STATES, LIVE_STATES
from appdb.utils import derived_id, milliseconds

WAITS = queries.TaskTimes(delay=timedelta(0), expires_in=None, unique_for=None)


def test_ids_sort_by_creation_time() -> None:
    made = [uuid7_str("tq_") for _ in range(1_000)]

    assert made == sorted(made)
    assert len(set(made)) == 1_000
    assert all(len(name) == 35 for name in made)


@given(st.text(), st.text(), st.text(), st.text())
def test_derived_ids_equal_only_for_equal_parts(a: str, b: str, c: str, d: str) -> None:
    encodable = all(part.encode("utf-8", "ignore").decode() == part and "\0" not in part for part in (a, b, c, d))
    if encodable:
        assert (derived_id("x_", a, b) == derived_id("x_", c, d)) == ((a, b) == (c, d))


@given(st.dictionaries(st.text(), st.text()))
def test_payload_reaches_server_as_literal(payload: dict[str, str]) -> None:
    _, update = queries.insert({"_id": "tq_1", "payload": payload}, WAITS)
    fresh = update[0]["$replaceWith"]["$cond"][1]["$mergeObjects"]

    assert fresh[0] == {"$literal": {"_id": "tq_1", "payload": payload}}
    assert set(fresh[1].values()) == {"$$NOW", None}


def test_durations_are_milliseconds_after_servers_now() -> None:
    assert from_now(timedelta(0)) == "$$NOW"
    assert from_now(timedelta(seconds=1.5)) == {
        "$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": 1_500}
    }
    assert milliseconds(timedelta(days=1)) == 86_400_000


def test_every_state_is_live_or_has_final_event() -> None:
    assert set(TaskState) == LIVE_STATES | FINAL_STATES
    assert {event.value for event in TaskEventType if event.terminal} == {state.value for state in FINAL_STATES}


@pytest.mark.parametrize(
    ("change", "topics"),
    [
        ({"task_id": "t", "state": "queued"}, [task_topic("t"), TASKS_READY]),
        ({"task_id": "t", "state": "cancelled"}, [task_topic("t")]),
        ({"task_id": "t", "state": "processing"}, []),
        ({"task_id": "t", "state": None}, [task_topic("t")]),
    ],
)
def test_queued_change_wakes_claimers_others_their_task(change: dict[str, str | None], topics: list[str]) -> None:
    assert topics_of(change) == topics
