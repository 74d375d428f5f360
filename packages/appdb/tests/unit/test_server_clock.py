"""The database's clock is asked for seldom, counted on truly, and asked again when this host cannot be trusted."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from appdb.server_clock import ASK_AGAIN, CLOCKS_PART, STEP_BACK, ServerClock

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


class Clocks:
    """This host's two clocks and the primary's, all moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monotonic, self.wall, self.server = 100.0, 5_000.0, BEGAN
        self.asked = 0
        monkeypatch.setattr(time, "monotonic", lambda: self.monotonic)
        monkeypatch.setattr(time, "time", lambda: self.wall)

    def pass_by(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds
        self.server += timedelta(seconds=seconds)

    async def ask(self) -> datetime:
        self.asked += 1
        return self.server


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


async def test_time_passes_without_queries(clocks: Clocks) -> None:
    clock = ServerClock(clocks.ask)
    told = [await clock.now()]
    for _ in range(3):
        clocks.pass_by(1.25)
        told.append(await clock.now())

    assert told == [BEGAN + timedelta(seconds=1.25 * step) for step in range(4)]
    assert clocks.asked == 1


async def test_time_is_queried_again_after_while(clocks: Clocks) -> None:
    clock = ServerClock(clocks.ask)
    await clock.now()
    clocks.pass_by(ASK_AGAIN.total_seconds() + 0.1)
    clocks.server += timedelta(seconds=3)

    assert await clock.now() == clocks.server
    assert clocks.asked == 2


async def test_host_that_slept_queries_again(clocks: Clocks) -> None:
    clock = ServerClock(clocks.ask)
    await clock.now()
    clocks.wall += 3_600
    clocks.server += timedelta(hours=1)

    assert await clock.now() == clocks.server


async def test_changed_wall_clock_moves_nothing(clocks: Clocks) -> None:
    clock = ServerClock(clocks.ask)
    await clock.now()
    clocks.wall -= CLOCKS_PART.total_seconds() * 2
    clocks.server += timedelta(milliseconds=5)

    assert await clock.now() == BEGAN + timedelta(milliseconds=5)


@pytest.mark.parametrize(("back", "told"), [(timedelta(milliseconds=40), True), (STEP_BACK * 3, False)])
async def test_only_new_primarys_clock_goes_back(clocks: Clocks, back: timedelta, told: bool) -> None:
    clock = ServerClock(clocks.ask)
    await clock.now()
    clocks.pass_by(ASK_AGAIN.total_seconds() + 1)
    clocks.server = BEGAN - back

    assert (await clock.now() == BEGAN) is told
