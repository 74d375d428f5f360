"""Cron: the ticks of a cron expression in a time zone, as pure functions of a given time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from appdb.errors import InvalidDataError
from appdb.models.schedules import CatchUp

MAX_CATCH_UP = 100
"""The most missed ticks that ``CatchUp.ALL`` makes up for."""
MISSED_AFTER = timedelta(minutes=1)
"""How late a tick may be seen before ``CatchUp.SKIP`` drops it."""
MAX_EXPRESSION_CHARACTERS = 200
CRON_FIELDS = 5
FIRST_LOOK_BACK = timedelta(hours=1)
# A zone of the host's own, which is another one on the next host.
HOST_ZONE = "localtime"


@dataclass(frozen=True, slots=True)
class Cron:
    """
    A cron expression in a time zone.

    Where clocks change, it does what Debian's cron does. A fixed time (minute and hour both without a leading ``*``)
    that is skipped in spring comes at the end of the gap, and one that is repeated in autumn comes once, at the first
    of the two. An expression with a leading ``*`` in minute or hour goes by elapsed time: nothing comes in the gap,
    and both of the repeated hours count.
    """

    expression: str
    zone: ZoneInfo

    @classmethod
    def of(cls, expression: str, time_zone: str) -> Self:
        """Return the cron expression *expression*, read in the zone with the IANA name *time_zone*.

        Raises:
            InvalidDataError: One of them cannot be read; the error names the field.
        """
        zone = _zone(time_zone)
        if len(expression) > MAX_EXPRESSION_CHARACTERS:
            raise _no_cron(expression, f"over {MAX_EXPRESSION_CHARACTERS} characters")
        if len(expression.split()) != CRON_FIELDS:
            raise _no_cron(expression, "not five fields")
        try:
            CronSim(expression, datetime.now(zone))
        except CronSimError as exc:
            raise _no_cron(expression, str(exc)) from exc
        return cls(expression, zone)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the ticks after *moment*, in UTC, strictly increasing; it ends where none comes for 50 years."""
        last = moment
        for local in CronSim(self.expression, moment.astimezone(self.zone)):
            tick = local.astimezone(UTC)
            # From within a repeated hour, the first tick found can lie in the first of the two.
            if tick > last:
                last = tick
                yield tick

    def next_after(self, moment: datetime) -> datetime:
        """Return the first tick after *moment*, in UTC.

        Raises:
            InvalidDataError: None comes within 50 years.
        """
        tick = next(self.after(moment), None)
        if tick is None:
            raise _no_cron(self.expression, "no such time comes within 50 years")
        return tick

    def newest_due(self, first: datetime, now: datetime, most: int) -> list[datetime]:
        """Return the newest *most* of the tick *first* and the ticks after it up to *now*, oldest first.

        It looks back from *now* by growing spans, so a long time without anybody costs no walk through all of it.
        """
        span = FIRST_LOOK_BACK
        while True:
            start = max(first, now - span)
            newest = deque([first] if start == first else [], maxlen=most)
            newest.extend(takewhile(lambda tick: tick <= now, self.after(start)))
            if start == first or len(newest) == most:
                return list(newest)
            span *= 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One firing of a schedule: the task of *tick* is enqueued, if there is one, and *next_at* is waited for."""

    tick: datetime | None
    next_at: datetime


def firing_at(cron: Cron, catch_up: CatchUp, first: datetime, now: datetime) -> Firing:
    """Return the next firing of a schedule whose tick *first* is due *now*.

    Raises:
        InvalidDataError: No further tick comes within 50 years, or only a newer release knows how to catch up.
    """
    if catch_up not in list(CatchUp):
        raise InvalidDataError("catch_up", f"{catch_up} is a word of a newer release; upgrade this host")
    most = MAX_CATCH_UP if catch_up is CatchUp.ALL else 1
    tick = cron.newest_due(first, now, most)[0]
    dropped = catch_up is CatchUp.SKIP and now - tick > MISSED_AFTER
    return Firing(tick=None if dropped else tick, next_at=cron.next_after(tick))


def _zone(time_zone: str) -> ZoneInfo:
    try:
        if time_zone != HOST_ZONE:
            return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise _no_zone(time_zone) from exc
    raise _no_zone(time_zone)


def _no_zone(time_zone: str) -> InvalidDataError:
    problem = f"{time_zone[:MAX_EXPRESSION_CHARACTERS]!r} is no IANA time zone; write 'Europe/Berlin' or 'UTC'"
    return InvalidDataError("time_zone", problem)


def _no_cron(expression: str, problem: str) -> InvalidDataError:
    example = "write minute, hour, day of month, month and day of week, such as '30 6 * * MON-FRI'"
    shown = expression[:MAX_EXPRESSION_CHARACTERS]
    return InvalidDataError("cron", f"{shown!r} cannot be used ({problem}); {example}")
