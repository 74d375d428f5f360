"""The manual clock: time that stands still until a test moves it."""

from __future__ import annotations

from datetime import datetime, timedelta

from appdb.utils import milliseconds, utc_now


class ManualClock:
    """
    A clock in MongoDB's resolution, milliseconds, that moves only when it is told to.

    Args:
        start: Its first time, aware; now when left out.
    """

    def __init__(self, start: datetime | None = None) -> None:
        begin = start or utc_now()
        # What a database gives back has no microseconds, and tests compare with that.
        self._now = begin.replace(microsecond=begin.microsecond // 1000 * 1000)

    def now(self) -> datetime:
        """Return the clock's time."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the clock on.

        Args:
            by: How far, in whole milliseconds.

        Raises:
            ValueError: It would move back.
        """
        if by < timedelta(0):
            raise ValueError(f"a clock cannot go back by {-by}: a database's clock does not either")
        self._now += timedelta(milliseconds=milliseconds(by))
