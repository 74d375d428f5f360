"""Allowances: whatever is granted in whatever order, no limit of anything that started is exceeded; pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appdb.models import TaskLimit
from appdb.queue.allowance import MOST_RATES, Allowance, grant, rate_of, refilled

KEY = "k"

numbers = st.none() | st.integers(1, 4)
limits = st.builds(
    TaskLimit, key=st.just(KEY), concurrency=numbers, rate=numbers, per_seconds=st.sampled_from([1.0, 7.5, 86_400.0])
)
tasks = st.lists(limits, min_size=1, max_size=3)


def started(wanted: list[list[TaskLimit]], allowance: Allowance) -> list[list[TaskLimit]]:
    return [task for task in wanted if grant(task, {KEY: allowance})]


@given(st.lists(tasks, max_size=20))
def test_running_tasks_limits_are_not_exceeded(wanted: list[list[TaskLimit]]) -> None:
    running = started(wanted, Allowance())

    assert all(limit.concurrency is None or len(running) <= limit.concurrency for task in running for limit in task)


@given(st.lists(tasks, max_size=20))
def test_starts_stay_within_carried_rate(wanted: list[list[TaskLimit]]) -> None:
    rates = [{rate_of(limit) for limit in task} for task in started(wanted, Allowance())]

    assert all(sum(rate in carried for carried in rates) <= rate[0] for rate in set().union(*rates) - {None} if rate)


@given(st.lists(tasks, max_size=20), st.integers(0, 20))
def test_counting_twice_equals_counting_once(wanted: list[list[TaskLimit]], cut: int) -> None:
    whole = started(wanted, Allowance())
    first = Allowance()
    begun = started(wanted[:cut], first)
    carried = [limit.concurrency for task in begun for limit in task if limit.concurrency is not None]
    second = Allowance(running=len(begun), narrowest=min(carried, default=None), levels=first.levels)

    assert begun + started(wanted[cut:], second) == whole


@given(tasks, st.floats(0, 1e6))
def test_bucket_never_exceeds_its_rate(task: list[TaskLimit], seconds: float) -> None:
    allowance = Allowance()
    grant(task, {KEY: allowance})

    assert all(0 <= level <= rate[0] for rate, level in refilled(allowance.levels, seconds).items())
    assert refilled(allowance.levels, allowance.full_in_seconds + 1) == {}


def test_bucket_refills_in_time_by_small_steps() -> None:
    limit = TaskLimit(key=KEY, rate=1, per_seconds=10)
    first = Allowance()
    assert grant([limit], {KEY: first})
    levels = first.levels
    for _ in range(100):
        levels = refilled(levels, 0.1)

    assert Allowance(levels=levels).admits(limit)


@pytest.mark.parametrize("per_seconds", [0.0, 1e-300, 1e300])
def test_time_beyond_bounds_stops_no_claim(per_seconds: float) -> None:
    limit = TaskLimit(key=KEY, rate=1, per_seconds=per_seconds)
    allowance = Allowance()

    assert len(started([[limit]] * 3, allowance)) == 1
    assert refilled(allowance.levels, 1e12) == {}


def test_operators_limit_replaces_carried_numbers() -> None:
    word = TaskLimit(key=KEY, concurrency=3)
    allowance = Allowance(running=1, narrowest=1, levels={(1, 1.0): 0.0}, override=word)
    carried = TaskLimit(key=KEY, concurrency=1, rate=1)

    assert len(started([[carried]] * 5, allowance)) == 2


def test_last_carried_rates_are_remembered() -> None:
    allowance = Allowance()
    for seconds in range(100):
        for per in (1_000.0, float(1 + seconds)):
            grant([TaskLimit(key=KEY, rate=500, per_seconds=per)], {KEY: allowance})

    assert len(allowance.levels) == MOST_RATES
    assert {(500, 1_000.0), (500, 100.0)} <= allowance.levels.keys()
