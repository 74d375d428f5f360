"""Schedules: cron expressions in time zones, and the task that each tick enqueues."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import JsonValue, SkipValidation

from appdb.models.base import Document, StoredJson
from appdb.models.bounds import STRICT, Count, Duration, Name, Positive, Priority, StoredSpan, StoredTime
from appdb.models.vocabulary import Stored


class CatchUp(StrEnum):
    """The treatment of ticks that passed while no host was up."""

    LATEST = "latest"
    """One task for the most recent of them, however late."""
    ALL = "all"
    """A task for each of them, oldest first, but only for the newest 100; older ones are dropped."""
    SKIP = "skip"
    """No task for a tick that is seen more than a minute late."""


class Schedule(Document):
    """A cron entry of one owner, as stored in ``schedules``; owner and name make its ``_id``."""

    owner_id: str
    name: str
    cron: str
    time_zone: str
    """The IANA name of the zone that the expression is read in."""
    actor: str
    actor_version: int
    payload: StoredJson
    queue: str
    priority: int
    max_attempts: int
    timeout_seconds: StoredSpan | None = None
    catch_up: Stored[CatchUp]
    enabled: bool
    # Strict times: a schedule whose times are texts would be due for ever, or never.
    next_at: StoredTime
    """The tick to come; means nothing while the schedule is paused."""
    last_tick: StoredTime | None = None
    """The newest tick that enqueued a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """A schedule to store with ``ScheduleRepository.put``.

    Args:
        owner_id: The user who owns the schedule and its tasks.
        name: The owner's name for it: 1 to 100 printable characters. The same name replaces the schedule.
        cron: Five fields (minute, hour, day of month, month, day of week), such as ``30 6 * * MON-FRI``. ``L`` is a
            month's last day, ``MON#1`` its first Monday, ``5L`` its last Friday.
        actor: The name of the actor that runs each task.
        payload: The actor's input; JSON values only, at most 256 KiB as BSON.
        time_zone: The IANA name of the zone that *cron* is read in, such as ``Europe/Berlin``.
        actor_version: The version of the payload's schema.
        queue: The queue of each task.
        priority: The priority of each task; higher runs first.
        max_attempts: How many claims of a task may end without a result before it fails for good.
        timeout: How long one attempt may run; ``None`` means the actor's own limit.
        catch_up: What becomes of missed ticks.
    """

    __pydantic_config__ = STRICT
    owner_id: Name
    name: Name
    cron: Name
    actor: Name
    payload: Annotated[dict[str, JsonValue], SkipValidation]
    time_zone: Name = "UTC"
    actor_version: Count = 1
    queue: Name = "default"
    priority: Priority = 0
    max_attempts: Positive = 3
    timeout: Duration | None = None
    catch_up: CatchUp = CatchUp.LATEST
