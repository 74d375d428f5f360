"""A moving average: the mean of the latest values."""

from __future__ import annotations


class MovingAverage:
    """
    The exponential moving average of a series.

    Args:
        remembered: About how many of the latest values count.
    """

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self._count = 0
        self.value = 0.0

    def add(self, value: float) -> None:
        """Count *value*; the first values have the same weight."""
        # Without the growing weight, the start value of 0 would count for as long as real values do.
        self._count = min(self._count + 1, self._remembered)
        self.value += (value - self.value) / self._count
