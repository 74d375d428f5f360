"""Scenarios of ``ScheduleRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from appdb import ScheduleRepository
from appdb._driver import RawDocument
from appdb.models import NewSchedule
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json, told

FAR = datetime(2999, 1, 1, tzinfo=UTC)


def new_schedule(owner_id: str, name: str, text: str = "hello") -> NewSchedule:
    """Return a schedule that has *text* wherever it may."""
    cron, payload = "0 0 1 1 *", hostile_json(text)
    return NewSchedule(owner_id=owner_id, name=name, cron=cron, actor=text, payload=payload, queue=text)


async def schedule(stage: Stage) -> str:
    """Make a schedule that fires once a year, and return its name."""
    return (await ScheduleRepository(stage.database).put(new_schedule(stage.owner, "nightly"))).name


async def _put(stage: Stage, text: str) -> Mapping[str, object]:
    schedules = ScheduleRepository(stage.database)
    await schedules.put(new_schedule(stage.owner, text, text))
    read = await schedules.get(text, owner_id=stage.owner)
    return {
        "schedule.name": read.name,
        "schedule.actor": read.actor,
        "schedule.queue": read.queue,
        "schedule.payload": told(text, read.payload),
    }


def _schedule(number: int) -> RawDocument:
    base = {"_id": f"sch_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "name": f"n{number}"}
    return base | {"enabled": number % 2 == 0, "next_at": FAR}


SCENES = Scenes(
    subject=ScheduleRepository,
    scenarios=(
        Scenario(
            method="ScheduleRepository.put",
            call=lambda schedules, _, owner_id: schedules.put(new_schedule(owner_id, "nightly")),
        ),
        Scenario(
            method="ScheduleRepository.get",
            prepare=schedule,
            call=lambda schedules, made, owner_id: schedules.get(made, owner_id=owner_id),
        ),
        Scenario(
            method="ScheduleRepository.page",
            prepare=schedule,
            call=lambda schedules, _, owner_id: schedules.page(owner_id=owner_id),
        ),
        Scenario(
            method="ScheduleRepository.page",
            about="the next",
            prepare=schedule,
            call=lambda schedules, _, owner_id: schedules.page(owner_id=owner_id, after="a"),
        ),
        Scenario(
            method="ScheduleRepository.pause",
            prepare=schedule,
            call=lambda schedules, made, owner_id: schedules.pause(made, owner_id=owner_id),
        ),
        Scenario(
            method="ScheduleRepository.resume",
            prepare=schedule,
            call=lambda schedules, made, owner_id: schedules.resume(made, owner_id=owner_id),
        ),
        Scenario(
            method="ScheduleRepository.delete",
            prepare=schedule,
            call=lambda schedules, made, owner_id: schedules.delete(made, owner_id=owner_id),
        ),
        Scenario(method="ScheduleRepository.tick", prepare=schedule, call=lambda schedules, _, __: schedules.tick()),
    ),
    texts=(
        Text(
            method="ScheduleRepository.put",
            fields=("schedule.name", "schedule.actor", "schedule.queue", "schedule.payload"),
            store=_put,
            refuses=True,
        ),
    ),
    plain=frozenset(
        {
            "owner_id",
            "after",
            "get.name",
            "pause.name",
            "resume.name",
            "delete.name",
            "schedule.owner_id",
            "schedule.cron",
            "schedule.time_zone",
        }
    ),
    crowds={"schedules": _schedule},
)
