"""A virtual clock: time passes when a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 1, 1, 12, tzinfo=UTC)


class VirtualClock:
    """The time of a harness; it begins at the same moment in every test, so that runs repeat."""

    def __init__(self) -> None:
        self._now = BEGINNING

    @property
    def now(self) -> datetime:
        """The time."""
        return self._now

    def advance_to(self, moment: datetime) -> None:
        """Let time pass until *moment*; one that is over changes nothing."""
        self._now = max(self._now, moment)

    def advance_by(self, duration: timedelta) -> None:
        """Let *duration* pass."""
        self.advance_to(self._now + duration)
