"""The moving average forgets values that are long past."""

from __future__ import annotations

import pytest

from appworker.worker.moving_average import MovingAverage


def test_first_values_count_alike() -> None:
    mean = MovingAverage(10)
    for value in (1, 2, 6):
        mean.add(value)

    assert mean.value == pytest.approx(3)


def test_older_values_are_forgotten() -> None:
    mean = MovingAverage(10)
    for value in [100.0] * 50 + [1.0] * 100:
        mean.add(value)

    assert mean.value == pytest.approx(1, rel=0.01)
