"""Allowances: the number of tasks that a limit key still lets start, by what runs and by its token buckets; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from appdb.models.bounds import MAX_DURATION, MIN_DURATION
from appdb.models.limits import Rate, TaskLimit

A_WHOLE_TOKEN = 1 - 1e-9
"""The least that counts as a token: a bucket that fills in many small steps loses a little to rounding."""
MOST_RATES = 32
"""Rates of one key that are remembered; of more, those that tasks carried longest ago are forgotten."""


class Allowance:
    """
    One limit key: what it still allows to start, and what was granted of it.

    Each task obeys the limit that it carries itself, and counts for all others of its key. What runs is respected,
    too: nothing starts beside a task whose own limit allows no more. An operator's word takes the place of it all.

    Args:
        running: How many tasks run under the key.

        narrowest: The smallest concurrency that one of them carries, if any does.

        levels: What is left in the key's buckets; one that is not here is full.

        override: What an operator set, or ``None``.
    """

    def __init__(
        self,
        *,
        running: int = 0,
        narrowest: int | None = None,
        levels: Mapping[Rate, float] | None = None,
        override: TaskLimit | None = None,
    ) -> None:
        self._running = running
        self._narrowest = None if override is not None else narrowest
        self._levels = dict(levels or {})
        self._override = override
        self.granted = 0

    def admits(self, limit: TaskLimit) -> bool:
        """Return whether *limit* allows one more task to start."""
        counts = self._override or limit
        most = least(counts.concurrency, self._narrowest)
        rate = rate_of(counts)
        return (most is None or self._running < most) and (rate is None or self._level(rate) >= A_WHOLE_TOKEN)

    def grant(self, limits: Iterable[TaskLimit]) -> None:
        """Count one task as started that carries *limits*, all of this key."""
        for limit in limits:
            counts = self._override or limit
            if self._override is None:
                self._narrowest = least(self._narrowest, limit.concurrency)
            if (rate := rate_of(counts)) is not None:
                # Put in again, so that the order of the buckets tells which rate was carried last.
                self._levels[rate] = self._levels.pop(rate, float(rate[0]))
        # A task counts for every rate of its key, also for those that it does not carry itself.
        self._levels = {rate: max(0.0, level - 1) for rate, level in self._levels.items()}
        self._running += 1
        self.granted += 1

    def _level(self, rate: Rate) -> float:
        return self._levels.get(rate, float(rate[0]))

    @property
    def levels(self) -> dict[Rate, float]:
        """What is left in the buckets, those last that tasks carried last."""
        return dict(list(self._levels.items())[-MOST_RATES:])

    @property
    def full_in_seconds(self) -> float:
        """How long it takes until all buckets are full again, if nothing starts."""
        return max(map(self._seconds_to_full, self._levels), default=0.0)

    def _seconds_to_full(self, rate: Rate) -> float:
        count, seconds = rate
        return (count - self._levels[rate]) * seconds / count


def grant(limits: Sequence[TaskLimit], allowances: Mapping[str, Allowance]) -> bool:
    """Count a task that carries *limits* as started if each of them allows it, and return whether they do."""
    if not all(allowances[limit.key].admits(limit) for limit in limits):
        return False
    for key in {limit.key for limit in limits}:
        allowances[key].grant(limit for limit in limits if limit.key == key)
    return True


def rate_of(limit: TaskLimit) -> Rate | None:
    """Return the rate that *limit* sets, if it sets one; earlier releases took any time for it."""
    if limit.rate is None:
        return None
    shortest, longest = MIN_DURATION.total_seconds(), MAX_DURATION.total_seconds()
    return limit.rate, min(limit.per_seconds, longest) if limit.per_seconds > shortest else shortest


def refilled(levels: Mapping[Rate, float], seconds: float) -> dict[Rate, float]:
    """Return *levels* as they are *seconds* later; a full bucket is left out, since an unknown one is full."""
    passed = max(seconds, 0.0)
    later = {rate: level + passed * rate[0] / rate[1] for rate, level in levels.items()}
    return {rate: level for rate, level in later.items() if level < rate[0]}


def least(one: int | None, other: int | None) -> int | None:
    """Return the smaller number of those that are there."""
    return min((number for number in (one, other) if number is not None), default=None)
