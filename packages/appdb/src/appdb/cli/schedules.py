"""`appdb schedules`: lists, puts, pauses and deletes an owner's cron schedules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import click
from pydantic import JsonValue

from appdb.cli.output import json_line, printable
from appdb.cli.params import PayloadSource, bundled, duration, payload_options
from appdb.cli.selection import owner_option
from appdb.cli.target import Target, pass_target
from appdb.database import Database
from appdb.models.schedules import CatchUp, NewSchedule, Schedule
from appdb.repos.schedule import ScheduleRepository

T = TypeVar("T")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleOptions:
    """The options of a schedule, beside the payload of its tasks."""

    cron: str
    zone: str
    actor: str
    actor_version: int
    queue: str
    priority: int
    max_attempts: int
    timeout: timedelta | None
    catch_up: str

    def schedule(self, name: str, owner: str, payload: dict[str, JsonValue]) -> NewSchedule:
        """Return the schedule to store."""
        return NewSchedule(
            owner_id=owner,
            name=name,
            cron=self.cron,
            time_zone=self.zone,
            actor=self.actor,
            actor_version=self.actor_version,
            payload=payload,
            queue=self.queue,
            priority=self.priority,
            max_attempts=self.max_attempts,
            timeout=self.timeout,
            catch_up=CatchUp(self.catch_up),
        )


schedule_options = bundled(
    ScheduleOptions,
    "options",
    click.option("--cron", required=True, help="Minute, hour, day of month, month, day of week: '30 6 * * MON-FRI'."),
    click.option("--zone", default="UTC", show_default=True, help="IANA time zone that --cron is read in."),
    click.option("--actor", required=True, help="The actor that runs each task."),
    click.option(
        "--actor-version", type=click.IntRange(1), default=1, show_default=True, help="Its payload's version."
    ),
    click.option("--queue", default="default", show_default=True, help="The queue of each task."),
    click.option("--priority", type=int, default=0, show_default=True, help="Higher runs first."),
    click.option("--max-attempts", type=click.IntRange(1), default=3, show_default=True, help="Attempts of each task."),
    click.option("--timeout", type=duration, help="How long one attempt may run. Default: the actor's own."),
    click.option(
        "--catch-up",
        type=click.Choice([policy.value for policy in CatchUp]),
        default=CatchUp.LATEST.value,
        show_default=True,
        help="Ticks missed while no worker ran: the latest, all (at most 100), or none that is over a minute late.",
    ),
)


@click.group()
def schedules() -> None:
    """Look after cron schedules; any worker that runs fires them."""


@schedules.command("list")
@owner_option
@click.option("--after", metavar="NAME", help="The last name of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="The most to list.")
@json_option
@pass_target
def list_schedules(target: Target, owner: str, after: str | None, limit: int, as_json: bool) -> None:
    """List an owner's schedules by name."""
    for schedule in _run(target, lambda repository: repository.page(owner_id=owner, after=after, limit=limit)):
        _tell(schedule, as_json=as_json)


@schedules.command()
@click.argument("name")
@owner_option
@json_option
@pass_target
def show(target: Target, name: str, owner: str, as_json: bool) -> None:
    """Show the schedule NAME."""
    _tell(_run(target, lambda repository: repository.get(name, owner_id=owner)), as_json=as_json)


@schedules.command()
@click.argument("name")
@owner_option
@schedule_options
@payload_options
@json_option
@pass_target
def put(target: Target, name: str, owner: str, options: ScheduleOptions, source: PayloadSource, as_json: bool) -> None:
    """Create or replace the schedule NAME; a paused one stays paused. Without a payload its tasks get {}."""
    new = options.schedule(name, owner, source.read() or {})
    _tell(_run(target, lambda repository: repository.put(new)), as_json=as_json)


@schedules.command()
@click.argument("name")
@owner_option
@json_option
@pass_target
def pause(target: Target, name: str, owner: str, as_json: bool) -> None:
    """Stop the schedule NAME from firing."""
    _tell(_run(target, lambda repository: repository.pause(name, owner_id=owner)), as_json=as_json)


@schedules.command()
@click.argument("name")
@owner_option
@json_option
@pass_target
def resume(target: Target, name: str, owner: str, as_json: bool) -> None:
    """Let the schedule NAME fire again, from now on."""
    _tell(_run(target, lambda repository: repository.resume(name, owner_id=owner)), as_json=as_json)


@schedules.command()
@click.argument("name")
@owner_option
@json_option
@pass_target
def delete(target: Target, name: str, owner: str, as_json: bool) -> None:
    """Forget the schedule NAME; its tasks stay."""
    _run(target, lambda repository: repository.delete(name, owner_id=owner))
    click.echo(json_line({"deleted": name}) if as_json else f"{printable(name)}: deleted")


def _run(target: Target, work: Callable[[ScheduleRepository], Awaitable[T]]) -> T:
    async def opened(database: Database) -> T:
        return await work(ScheduleRepository(database))

    return target.run(opened)


def _tell(schedule: Schedule, *, as_json: bool) -> None:
    click.echo(json_line(schedule.model_dump(mode="json")) if as_json else _line(schedule))


def _line(schedule: Schedule) -> str:
    coming = f"next {schedule.next_at:%Y-%m-%d %H:%M} UTC" if schedule.enabled else "paused"
    return printable(f"{schedule.name}: {schedule.cron!r} in {schedule.time_zone}, actor {schedule.actor}, {coming}")
