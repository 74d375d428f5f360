"""Restarts of worker processes that ended."""

from __future__ import annotations

from datetime import timedelta

from appworker.host.supervisor import FIRST_PAUSE, LONGEST_PAUSE, MAX_FAILED_STARTS, Ended, Restarts


def ended(*, ready: bool, seconds: float = 1) -> Ended:
    return Ended(pid=1, code=1, ready=ready, seconds=seconds)


def seconds(pause: timedelta | None) -> float:
    assert pause is not None
    return pause.total_seconds()


def test_process_never_ready_is_given_up() -> None:
    restarts = Restarts()
    pauses = [restarts.pause_after(ended(ready=False)) for _ in range(MAX_FAILED_STARTS)]

    assert [pause is None for pause in pauses] == [False] * 4 + [True]


def test_process_once_ready_restarts_with_growing_pauses() -> None:
    restarts = Restarts()
    pauses = [seconds(restarts.pause_after(ended(ready=True))) for _ in range(20)]

    assert 0.8 * FIRST_PAUSE.total_seconds() <= pauses[0] <= FIRST_PAUSE.total_seconds()
    assert pauses[:6] == sorted(pauses[:6])
    assert max(pauses) <= LONGEST_PAUSE.total_seconds()
    assert pauses[-1] >= 0.8 * LONGEST_PAUSE.total_seconds()


def test_readiness_forgives_failed_starts() -> None:
    restarts = Restarts()
    for _ in range(3):
        for _ in range(MAX_FAILED_STARTS - 1):
            assert restarts.pause_after(ended(ready=False)) is not None
        assert restarts.pause_after(ended(ready=True)) is not None


def test_long_lived_process_is_replaced_at_once() -> None:
    restarts = Restarts()
    for _ in range(6):
        restarts.pause_after(ended(ready=True))

    assert seconds(restarts.pause_after(ended(ready=True, seconds=61))) <= FIRST_PAUSE.total_seconds()
