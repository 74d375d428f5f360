"""The health of a worker process: state that its parts report to, and the checks that read it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta

LOOP_LIMIT = timedelta(seconds=5)
"""A control loop that does not answer for longer than this is stuck."""
DATABASE_LIMIT = timedelta(seconds=10)
"""A database that did not answer for longer than this is away; an idle worker asks it every second or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """One check of a report.

    Args:
        ok: Whether it is as it should be.
        detail: The finding in our own words; never an inner error, since anybody may ask.
    """

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """The checks that answer one question."""

    checks: Mapping[str, HealthCheck]

    @property
    def ok(self) -> bool:
        """Whether every check is fine."""
        return all(check.ok for check in self.checks.values())

    def body(self) -> dict[str, object]:
        """Return the report as JSON values."""
        checks = {name: asdict(check) for name, check in self.checks.items()}
        return {"status": "ok" if self.ok else "failing", "checks": checks}


class WorkerHealth:
    """
    The health of this process, as far as its parts have reported.

    Its methods may be called from any thread: each reads or writes single values.

    Args:
        loop_waiting: For how many seconds the control loop has owed an answer; 0 when it owes none.

        clock: Monotonic seconds.
    """

    def __init__(self, *, loop_waiting: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._loop_waiting = loop_waiting
        self._clock = clock
        self._announced = False
        self._draining = False
        self._answered_at: float | None = None
        self._feed_live: Callable[[], bool] = lambda: False
        self._when_announced: Callable[[], None] = lambda: None

    def follow_feed(self, live: Callable[[], bool]) -> None:
        """Ask *live* whether the change feed gives hints."""
        self._feed_live = live

    def when_announced(self, listener: Callable[[], None]) -> None:
        """Call *listener* once this worker is announced."""
        self._when_announced = listener

    def announced(self) -> None:
        """The worker and its actors are in the database, so API hosts accept tasks for it."""
        self._announced = True
        self._when_announced()

    def draining(self) -> None:
        """The worker claims nothing any more."""
        self._draining = True

    def database_answered(self) -> None:
        """The database answered just now."""
        self._answered_at = self._clock()

    def live(self) -> HealthReport:
        """Say whether the process works at all; if not, only a restart helps."""
        return HealthReport(checks={"control_loop": self._control_loop()})

    def ready(self) -> HealthReport:
        """Say whether tasks are claimed now. Without the change feed they are, by polling, so that is only told."""
        checks = {
            "control_loop": self._control_loop(),
            "announced": HealthCheck(
                ok=self._announced, detail="announced" if self._announced else "not announced yet"
            ),
            "claiming": HealthCheck(ok=not self._draining, detail="draining" if self._draining else "not draining"),
            "database": self._database(),
            "change_feed": HealthCheck(ok=True, detail="live" if self._feed_live() else "polling"),
        }
        return HealthReport(checks=checks)

    def _control_loop(self) -> HealthCheck:
        waiting = self._loop_waiting()
        ok = waiting <= LOOP_LIMIT.total_seconds()
        return HealthCheck(ok=ok, detail="answers" if ok else f"has not answered for {waiting:.1f} s")

    def _database(self) -> HealthCheck:
        if self._answered_at is None:
            return HealthCheck(ok=False, detail="has not answered yet")
        silence = self._clock() - self._answered_at
        return HealthCheck(ok=silence <= DATABASE_LIMIT.total_seconds(), detail=f"answered {silence:.1f} s ago")
