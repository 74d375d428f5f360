"""Queries of tasks: payloads as literals, and durations after the server's now."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from appdb._queries import tasks as queries
from appdb._queries.clock import from_now
from appdb.utils import milliseconds

WAITS = queries.TaskTimes(delay=timedelta(0), expires_in=None, unique_for=None)


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
