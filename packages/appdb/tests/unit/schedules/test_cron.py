"""Ticks of schedules: zones, clocks that change, and input that cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appdb import InvalidDataError
from appdb.models import CatchUp
from appdb.schedules.cron import MAX_CATCH_UP, Cron, firing_at

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
MINUTE = timedelta(minutes=1)
ZONES = ["UTC", BERLIN, NEW_YORK, "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "Africa/Casablanca"]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks(expression: str, zone: str, after: str, count: int) -> list[str]:
    found = islice(Cron.of(expression, zone).after(utc(after)), count)
    return [f"{tick:%m-%d %H:%M}" for tick in found]


@pytest.mark.parametrize(
    ("zone", "expression", "after", "expected"),
    [
        # Spring: the clock jumps from 02:00 to 03:00, at 01:00 UTC in Berlin and at 07:00 UTC in New York.
        (BERLIN, "30 2 * * *", "2026-03-27 12:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        (NEW_YORK, "30 2 * * *", "2026-03-06 12:00", ["03-07 07:30", "03-08 07:00", "03-09 06:30"]),
        (BERLIN, "0 2,3 * * *", "2026-03-28 23:00", ["03-29 01:00", "03-30 00:00"]),
        (BERLIN, "0 * * * *", "2026-03-28 23:00", ["03-29 00:00", "03-29 01:00", "03-29 02:00"]),
        (NEW_YORK, "0 */2 * * *", "2026-03-08 04:00", ["03-08 05:00", "03-08 08:00", "03-08 10:00"]),
        (BERLIN, "*/30 2 * * *", "2026-03-28 02:00", ["03-30 00:00", "03-30 00:30"]),
        # Autumn: the clock goes back from 03:00 to 02:00 at 01:00 UTC, from 02:00 to 01:00 at 06:00 UTC.
        (BERLIN, "30 2 * * *", "2026-10-24 12:00", ["10-25 00:30", "10-26 01:30"]),
        (NEW_YORK, "30 1 * * *", "2026-10-31 12:00", ["11-01 05:30", "11-02 06:30"]),
        (BERLIN, "0 * * * *", "2026-10-24 23:00", ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
        (NEW_YORK, "*/30 1 * * *", "2026-11-01 04:59", ["11-01 05:00", "11-01 05:30", "11-01 06:00", "11-01 06:30"]),
    ],
)
def test_ticks_around_clock_changes(zone: str, expression: str, after: str, expected: list[str]) -> None:
    assert ticks(expression, zone, after, len(expected)) == expected


def test_search_within_repeated_hour_goes_forward() -> None:
    second_half_past_two = "2026-10-25 01:30"

    assert ticks("45 2 * * *", BERLIN, second_half_past_two, 1) == ["10-26 01:45"]


@pytest.mark.parametrize(("zone", "days", "hours"), [(BERLIN, "29 3", 23), (BERLIN, "25 10", 25), ("UTC", "29 3", 24)])
def test_day_has_as_many_ticks_as_hours(zone: str, days: str, hours: int) -> None:
    found = Cron.of(f"0 * {days} *", zone).newest_due(utc("2026-01-01 00:00"), utc("2026-12-31 00:00"), 1_000)

    assert len(found) - 1 == hours


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("Asia/Kathmandu", "06-01 00:15"), ("America/St_Johns", "06-01 08:30"), ("Pacific/Auckland", "06-01 18:00")],
)
def test_zone_decides_instant(zone: str, expected: str) -> None:
    assert ticks("0 6 * * *", zone, "2026-06-01 00:00", 1) == [expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 L * *", ["02-28 00:00", "03-31 00:00"]),
        ("0 9 * * MON#1", ["02-02 09:00", "03-02 09:00"]),
        ("0 9 * * 5L", ["02-27 09:00", "03-27 09:00"]),
        ("30 6 * * MON-FRI", ["02-02 06:30", "02-03 06:30"]),
    ],
)
def test_days_count_from_month_end_and_week(expression: str, expected: list[str]) -> None:
    assert ticks(expression, "UTC", "2026-02-01 00:00", 2) == expected


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * *", "61 * * * *", "@daily", "0 0 30 2 *", "a b c d e", "$$NOW", "9" * 5_000, "\ud800"],
)
def test_wrong_expression_error_shows_right_one(expression: str) -> None:
    with pytest.raises(InvalidDataError, match="'30 6 \\* \\* MON-FRI'") as caught:
        Cron.of(expression, "UTC")

    assert caught.value.field == "cron"
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    "zone",
    ["", "Mars/Base", "America", "../etc/passwd", "/etc/passwd", "localtime", "CET ", "\0", "\ud800", "x" * 9_999],
)
def test_wrong_zone_error_shows_right_one(zone: str) -> None:
    with pytest.raises(InvalidDataError, match="'Europe/Berlin'") as caught:
        Cron.of("0 0 * * *", zone)

    assert caught.value.field == "time_zone"
    assert len(str(caught.value)) < 1_000


def test_impossible_time_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="within 50 years"):
        Cron.of("* * */20 * 1L", "UTC").next_after(utc("2026-01-01 00:00"))


fields = st.tuples(
    st.sampled_from(["*", "*/7", "0", "59", "0,30", "15-45/10"]),
    st.sampled_from(["*", "*/2", "0", "1", "2", "1,2,3", "0-4", "23"]),
    st.sampled_from(["*", "L", "1-7", "25,29"]),
    st.sampled_from(["*", "3,10,11", "*/4"]),
    st.sampled_from(["*", "SUN", "MON-FRI", "0#1"]),
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(ZONES)


@settings(deadline=None)  # a busy machine is no failure
@given(fields, zones, moments)
def test_ticks_increase_at_whole_minutes(parts: tuple[str, ...], zone: str, moment: datetime) -> None:
    found = list(islice(Cron.of(" ".join(parts), zone).after(moment), 40))

    assert all(earlier < later for earlier, later in zip([moment, *found], found, strict=False))
    assert all((tick.second, tick.microsecond, tick.tzinfo) == (0, 0, UTC) for tick in found)


@settings(deadline=None)  # a busy machine is no failure
@given(fields, zones, moments, st.integers(0, 39))
def test_ticks_after_tick_are_the_rest(parts: tuple[str, ...], zone: str, moment: datetime, number: int) -> None:
    cron = Cron.of(" ".join(parts), zone)
    found = list(islice(cron.after(moment), 41))
    assume(len(found) == 41)

    assert cron.next_after(found[number]) == found[number + 1]


@settings(deadline=None)  # a busy machine is no failure
@given(fields, zones, moments, st.integers(0, 200), st.integers(1, 30))
def test_newest_due_ticks_end_all_due_ticks(
    parts: tuple[str, ...], zone: str, moment: datetime, due: int, most: int
) -> None:
    cron = Cron.of(" ".join(parts), zone)
    found = list(islice(cron.after(moment), due + 1))

    assert cron.newest_due(found[0], found[-1] + MINUTE / 2, most) == found[-most:]


HOURLY = Cron.of("0 * * * *", "UTC")


def test_latest_catches_up_newest_missed_tick() -> None:
    step = firing_at(HOURLY, CatchUp.LATEST, utc("2026-01-01 00:00"), utc("2026-01-01 07:20"))

    assert (step.tick, step.next_at) == (utc("2026-01-01 07:00"), utc("2026-01-01 08:00"))


def test_all_catches_up_missed_ticks_oldest_first() -> None:
    step = firing_at(HOURLY, CatchUp.ALL, utc("2026-01-01 00:00"), utc("2026-01-01 07:20"))

    assert (step.tick, step.next_at) == (utc("2026-01-01 00:00"), utc("2026-01-01 01:00"))


def test_all_drops_ticks_beyond_newest_hundred() -> None:
    now = utc("2026-06-01 00:30")
    step = firing_at(HOURLY, CatchUp.ALL, utc("2026-01-01 00:00"), now)

    assert step.tick is not None
    assert len(HOURLY.newest_due(step.tick, now, 10_000)) == MAX_CATCH_UP


def test_skip_drops_tick_over_minute_late() -> None:
    first = utc("2026-01-01 00:00")
    late = firing_at(HOURLY, CatchUp.SKIP, first, utc("2026-01-01 07:01:01"))
    in_time = firing_at(HOURLY, CatchUp.SKIP, first, utc("2026-01-01 07:01:00"))

    assert (late.tick, late.next_at) == (None, utc("2026-01-01 08:00"))
    assert (in_time.tick, in_time.next_at) == (utc("2026-01-01 07:00"), utc("2026-01-01 08:00"))


def test_stored_tick_fires_despite_newer_zone_rules() -> None:
    odd = utc("2026-01-01 00:17")
    step = firing_at(HOURLY, CatchUp.LATEST, odd, odd + MINUTE)

    assert (step.tick, step.next_at) == (odd, utc("2026-01-01 01:00"))
