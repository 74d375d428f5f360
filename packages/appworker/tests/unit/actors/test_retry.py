"""The pauses between attempts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appworker import RetryPolicy

pauses = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3650))
policies = st.tuples(pauses, pauses).map(lambda two: RetryPolicy(first=min(two), longest=max(two)))
attempts = st.integers(1, 10**9)
chances = st.floats(0, 1)


@given(policies, attempts, chances)
def test_pause_stays_between_zero_and_ceiling(policy: RetryPolicy, attempt: int, chance: float) -> None:
    assert timedelta(0) <= policy.delay(attempt, lambda: chance) <= policy.ceiling(attempt) <= policy.longest


@given(policies, attempts)
def test_ceiling_starts_at_first_and_never_falls(policy: RetryPolicy, attempt: int) -> None:
    assert policy.ceiling(1) == policy.first
    assert policy.ceiling(attempt) <= policy.ceiling(attempt + 1)


@given(attempts)
def test_ceiling_doubles_up_to_longest(attempt: int) -> None:
    policy = RetryPolicy(first=timedelta(seconds=1), longest=timedelta(days=1))

    doubled = min(policy.ceiling(attempt) * 2, policy.longest)
    assert policy.ceiling(attempt + 1) == doubled


def test_jitter_is_full() -> None:
    policy = RetryPolicy(first=timedelta(seconds=8), longest=timedelta(seconds=8))

    drawn = [policy.delay(1) for _ in range(1_000)]
    assert min(drawn) < timedelta(seconds=1)
    assert max(drawn) > timedelta(seconds=7)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"first": timedelta(seconds=-1)}, "0 <= first <= longest"),
        ({"first": timedelta(hours=1)}, "0 <= first <= longest"),
    ],
)
def test_senseless_policy_is_refused(arguments: dict[str, int | timedelta], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        RetryPolicy(**arguments)  # type: ignore[arg-type]
