"""The server clock: the primary's time, asked for every few seconds and counted on by this host's clock in between."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

ASK_AGAIN = timedelta(seconds=5)
CLOCKS_PART = timedelta(seconds=0.1)
"""How far this host's two clocks may drift apart before the database is asked again: the host slept, or was moved."""
STEP_BACK = timedelta(seconds=1)
"""A step back that is larger is another primary's clock, and followed; a smaller one is noise, and waited out."""


class ServerClock:
    """
    Tells the primary's time without a round trip for each question.

    It never runs ahead of the primary, lags it by at most the round trip of the question that it counts from, and does
    not go back between two answers. For times that order and show; what decides ownership is ``$$NOW``.

    Args:
        ask: Asks the primary.
    """

    def __init__(self, ask: Callable[[], Awaitable[datetime]]) -> None:
        self._ask = ask
        self._told: datetime | None = None
        self._told_at = self._told_at_wall = 0.0
        self._last: datetime | None = None

    async def now(self) -> datetime:
        """Return the primary's time, aware, in UTC; one round trip every few seconds, and else none.

        Raises:
            DatabaseUnavailableError: No primary answered in time.
        """
        counted = self._count_on()
        if counted is None:
            counted = await self._ask()
            self._told, self._told_at, self._told_at_wall = counted, time.monotonic(), time.time()
        # Round trips differ, so a new answer may lie a little behind what was counted on from the one before.
        if self._last is not None and timedelta(0) < self._last - counted < STEP_BACK:
            counted = self._last
        self._last = counted
        return counted

    def _count_on(self) -> datetime | None:
        if self._told is None:
            return None
        passed = time.monotonic() - self._told_at
        apart = abs(time.time() - self._told_at_wall - passed)
        if passed > ASK_AGAIN.total_seconds() or apart > CLOCKS_PART.total_seconds():
            return None
        return self._told + timedelta(milliseconds=int(passed * 1000))
