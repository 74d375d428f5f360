"""A mean that forgets."""

from __future__ import annotations


class MovingAverage:
    """The exponential moving average of what was added.

    Args:
        remembered: About how many of the latest values count.
    """

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self._count = 0
        self.value = 0.0

    def add(self, value: float) -> None:
        """Let *value* count; the first ones count alike."""
        self._count = min(self._count + 1, self._remembered)
        self.value += (value - self.value) / self._count
