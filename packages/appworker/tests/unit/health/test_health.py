"""Live and ready, as pure state."""

from __future__ import annotations

import pytest

from appworker.health.health import HealthReport, WorkerHealth


class Process:
    """A process whose clock and loop a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.loop_owes = 0.0
        self.health = WorkerHealth(loop_waiting=lambda: self.loop_owes, clock=lambda: self.now)


@pytest.fixture
def process() -> Process:
    """A worker that is announced and whose database has just answered."""
    made = Process()
    made.health.announced()
    made.health.database_answered()
    return made


def failing(report: HealthReport) -> set[str]:
    return {name for name, check in report.checks.items() if not check.ok}


def test_unannounced_worker_is_live_not_ready() -> None:
    health = Process().health

    assert health.live().ok
    assert failing(health.ready()) == {"announced", "database"}


def test_announced_worker_with_database_is_ready(process: Process) -> None:
    assert process.health.ready().ok


@pytest.mark.parametrize(("seconds", "ok"), [(0, True), (5, True), (5.1, False), (60, False)])
def test_late_control_loop_is_not_live(process: Process, seconds: float, ok: bool) -> None:
    process.loop_owes = seconds

    assert process.health.live().ok is ok
    assert process.health.ready().ok is ok


@pytest.mark.parametrize(("seconds", "ok"), [(10, True), (10.1, False)])
def test_silent_database_is_live_not_ready(process: Process, seconds: float, ok: bool) -> None:
    process.now += seconds

    assert process.health.live().ok
    assert failing(process.health.ready()) == (set() if ok else {"database"})


def test_draining_worker_is_not_ready(process: Process) -> None:
    process.health.draining()

    assert failing(process.health.ready()) == {"claiming"}


@pytest.mark.parametrize(("live", "detail"), [(True, "live"), (False, "polling")])
def test_change_feed_is_told_but_not_decisive(process: Process, live: bool, detail: str) -> None:
    process.health.follow_feed(lambda: live)
    report = process.health.ready()

    assert (report.ok, report.checks["change_feed"].detail) == (True, detail)


def test_body_names_every_check(process: Process) -> None:
    process.health.draining()

    assert process.health.ready().body() == {
        "status": "failing",
        "checks": {
            "control_loop": {"ok": True, "detail": "answers"},
            "announced": {"ok": True, "detail": "announced"},
            "claiming": {"ok": False, "detail": "draining"},
            "database": {"ok": True, "detail": "answered 0.0 s ago"},
            "change_feed": {"ok": True, "detail": "polling"},
        },
    }


def test_announcement_wakes_its_waiters() -> None:
    told: list[str] = []
    health = Process().health
    health.when_announced(lambda: told.append("announced"))
    assert told == []
    health.announced()

    assert told == ["announced"]
