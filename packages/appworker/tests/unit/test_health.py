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


def test_a_worker_is_live_and_not_ready_before_it_is_announced() -> None:
    health = Process().health

    assert health.live().ok
    assert failing(health.ready()) == {"announced", "database"}


def test_an_announced_worker_whose_database_answers_is_ready(process: Process) -> None:
    assert process.health.ready().ok


@pytest.mark.parametrize(("seconds", "ok"), [(0, True), (5, True), (5.1, False), (60, False)])
def test_a_control_loop_that_owes_an_answer_for_over_five_seconds_is_not_live(
    process: Process, seconds: float, ok: bool
) -> None:
    process.loop_owes = seconds

    assert process.health.live().ok is ok
    assert process.health.ready().ok is ok


@pytest.mark.parametrize(("seconds", "ok"), [(10, True), (10.1, False)])
def test_a_worker_whose_database_was_silent_for_over_ten_seconds_is_live_and_not_ready(
    process: Process, seconds: float, ok: bool
) -> None:
    process.now += seconds

    assert process.health.live().ok
    assert failing(process.health.ready()) == (set() if ok else {"database"})


def test_a_draining_worker_is_not_ready(process: Process) -> None:
    process.health.draining()

    assert failing(process.health.ready()) == {"claiming"}


@pytest.mark.parametrize(("live", "detail"), [(True, "live"), (False, "polling")])
def test_the_change_feed_is_told_and_does_not_decide(process: Process, live: bool, detail: str) -> None:
    process.health.follow_feed(lambda: live)
    report = process.health.ready()

    assert (report.ok, report.checks["change_feed"].detail) == (True, detail)


def test_the_body_names_every_check(process: Process) -> None:
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


def test_whoever_waits_for_the_announcement_is_told() -> None:
    told: list[str] = []
    health = Process().health
    health.when_announced(lambda: told.append("announced"))
    assert told == []
    health.announced()

    assert told == ["announced"]
