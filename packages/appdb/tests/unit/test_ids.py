"""Ids: in the order of their making, of a given moment, and derived from parts."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appdb import uuid7_str
from appdb._uuid7 import Counter
from appdb.utils import derived_id, uuid7_at, uuid7_floor

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)


def test_id_of_moment_is_uuid_7() -> None:
    made = {uuid7_at("file_", MOMENT) for _ in range(1_000)}

    assert len(made) == 1_000
    for found in (uuid.UUID(text.removeprefix("file_")) for text in made):
        assert (found.version, found.variant) == (7, uuid.RFC_4122)
        assert found.int >> 80 == int(MOMENT.timestamp() * 1000)


def test_ids_lie_on_right_side_of_moment() -> None:
    floor = uuid7_floor("file_", MOMENT)

    assert uuid7_at("file_", MOMENT - timedelta(milliseconds=1)) < floor <= uuid7_at("file_", MOMENT)
    day = timedelta(days=1)
    assert uuid7_floor("", datetime.now(UTC) - day) < uuid7_str() < uuid7_floor("", datetime.now(UTC) + day)


def test_rapid_ids_are_ordered_and_not_future() -> None:
    began = time.time_ns() // 1_000_000
    made = [uuid.UUID(uuid7_str()) for _ in range(10_000)]
    ended = time.time_ns() // 1_000_000

    assert made == sorted(set(made))
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert began <= made[0].int >> 80
    assert made[-1].int >> 80 <= ended


def test_ids_of_threads_are_unique_and_ordered() -> None:
    made: list[list[str]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=lambda ids=ids: ids.extend(uuid7_str() for _ in range(5_000))) for ids in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(ids == sorted(ids) for ids in made)
    assert len({one for ids in made for one in ids}) == 20_000


def test_ids_stay_ordered_when_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter()
    clock = iter([5_000_000_000, 3_000_000_000, 5_000_000_000, 5_001_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    made = [counter.next() for _ in range(4)]

    assert made == sorted(set(made))
    assert [one.time for one in made] == [5_000, 5_000, 5_000, 5_001]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_child_repeats_no_id_of_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)  # both are in one millisecond for ever
    forking = multiprocessing.get_context("fork")
    there, here = forking.Pipe()
    uuid7_str()
    child = forking.Process(target=lambda: there.send([uuid7_str() for _ in range(100)]))
    child.start()
    theirs, mine = here.recv(), [uuid7_str() for _ in range(100)]
    child.join()

    assert not set(theirs) & set(mine)


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
