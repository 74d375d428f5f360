"""The document of a schedule: how it is checked and stored, and which task each of its ticks enqueues."""

from __future__ import annotations

from datetime import datetime

from appdb._driver import RawDocument
from appdb.errors import InvalidDataError
from appdb.models.bounds import AnyText, accept, bounded_duration
from appdb.models.schedules import NewSchedule, Schedule
from appdb.models.tasks import NewTask
from appdb.schedules.cron import Cron
from appdb.size_limits import KIB, MAX_PAYLOAD_BYTES, check_size
from appdb.utils import derived_id

MAX_SCHEDULE_NAME_CHARACTERS = 100
MAX_SCHEDULE_BYTES = MAX_PAYLOAD_BYTES + 16 * KIB


def schedule_id(owner_id: str, name: str) -> str:
    """Return the id of the owner's schedule *name*.

    Raises:
        InvalidDataError: No schedule can have that owner or name.
    """
    # Printable text has no NUL, at which the parts are joined, and nothing that UTF-8 cannot hold.
    for field, text, example in (("owner_id", owner_id, "usr_1"), ("name", name, "nightly report")):
        accept(AnyText, text, field)
        if not text or not text.isprintable() or len(text) > MAX_SCHEDULE_NAME_CHARACTERS:
            problem = f"write 1 to {MAX_SCHEDULE_NAME_CHARACTERS} printable characters, such as {example!r}"
            raise InvalidDataError(field, problem)
    return derived_id("sch_", owner_id, name)


def schedule_fields(schedule: NewSchedule) -> RawDocument:
    """Return what *schedule* says of its document; the state of its ticks stays as it is.

    Raises:
        TooLargeError: The payload is over 256 KiB as BSON.
        InvalidDataError: A field cannot be stored; the error names it.
    """
    check_size("payload", schedule.payload, MAX_PAYLOAD_BYTES)
    fields = {
        "_id": schedule_id(schedule.owner_id, schedule.name),
        "owner_id": schedule.owner_id,
        "name": schedule.name,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "actor": schedule.actor,
        "actor_version": schedule.actor_version,
        "payload": dict(schedule.payload),
        "queue": schedule.queue,
        "priority": schedule.priority,
        "max_attempts": schedule.max_attempts,
        "timeout_seconds": schedule.timeout.total_seconds() if schedule.timeout else None,
        "catch_up": schedule.catch_up,
    }
    check_size("schedule", fields, MAX_SCHEDULE_BYTES)
    return fields


def cron_of(schedule: Schedule) -> Cron:
    """Return when *schedule* fires.

    Raises:
        InvalidDataError: The stored expression or zone is unknown to this release or host.
    """
    return Cron.of(schedule.cron, schedule.time_zone)


def task_of(schedule: Schedule, tick: datetime) -> NewTask:
    """Return the task that *tick* (aware, UTC) of *schedule* enqueues."""
    return NewTask(
        owner_id=schedule.owner_id,
        actor=schedule.actor,
        actor_version=schedule.actor_version,
        payload=schedule.payload,
        queue=schedule.queue,
        priority=schedule.priority,
        max_attempts=schedule.max_attempts,
        timeout=None if schedule.timeout_seconds is None else bounded_duration(schedule.timeout_seconds),
        task_id=scheduled_task_id(schedule.id, tick),
    )


def scheduled_task_id(schedule_id: str, tick: datetime) -> str:
    """Return the id of the task that *tick* (aware, UTC) of a schedule enqueues."""
    return derived_id("tq_", schedule_id, tick.isoformat())
