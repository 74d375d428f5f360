"""The retry policy of an actor: the number of attempts, and the pauses between them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

_LARGEST_EXPONENT = 1_000
"""2.0 to this power is still a float, and longer than anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter.

    Args:
        max_attempts: How many attempts a task gets, the first included.
        first: The longest pause after the first attempt; it doubles with each further one.
        longest: What no pause exceeds.

    Raises:
        ValueError: There is no attempt, or a pause is negative, or the longest is shorter than the first.
    """

    max_attempts: int = 3
    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=1)

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts is {self.max_attempts}; a task needs at least 1")
        if not timedelta(0) <= self.first <= self.longest:
            raise ValueError(f"first is {self.first} and longest is {self.longest}; write 0 <= first <= longest")

    def ceiling(self, attempt: int) -> timedelta:
        """Return the longest pause that may follow *attempt*, counted from 1."""
        doubled = self.first.total_seconds() * 2.0 ** min(attempt - 1, _LARGEST_EXPONENT)
        return timedelta(seconds=min(doubled, self.longest.total_seconds()))

    def delay(self, attempt: int, chance: Callable[[], float] = random.random) -> timedelta:
        """Return the pause after *attempt*: anywhere between nothing and its ceiling, so that retries do not march.

        Args:
            attempt: Counted from 1.
            chance: Gives a number from 0 to 1.
        """
        # Full jitter: tasks that failed together, since a provider was down, do not come back together.
        return self.ceiling(attempt) * chance()
