"""``appdb schedules``: an owner's cron schedules on the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from appdb.database import Database
from appdb.errors import AppDbError
from appdb.models.schedule import CatchUp, NewSchedule, Schedule
from appdb.queue.schedules import ScheduleRepository

T = TypeVar("T")
MakeDatabase = Callable[[], Database]

owner_option = click.option("--owner", required=True, help="Whose schedules: a user's id.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def schedules() -> None:
    """Look after cron schedules; any worker that runs fires them."""


@schedules.command("list")
@owner_option
@click.option("--after", help="The last name of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="The most to list.")
@json_option
@click.pass_obj
def list_(make_database: MakeDatabase, owner: str, after: str | None, limit: int, *, as_json: bool) -> None:
    """List an owner's schedules by name."""
    found = _run(make_database, lambda repository: repository.page(owner_id=owner, after=after, limit=limit))
    if as_json:
        click.echo(json.dumps([_plain(schedule) for schedule in found], indent=2))
        return
    for schedule in found:
        click.echo(_line(schedule))


@schedules.command()
@click.argument("name")
@owner_option
@json_option
@click.pass_obj
def show(make_database: MakeDatabase, name: str, owner: str, *, as_json: bool) -> None:
    """Show the schedule NAME."""
    _print(_run(make_database, lambda repository: repository.get(name, owner_id=owner)), as_json=as_json)


@schedules.command()
@click.argument("name")
@owner_option
@click.option("--cron", required=True, help="Minute, hour, day of month, month, day of week: '30 6 * * MON-FRI'.")
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone that --cron is read in.")
@click.option("--actor", required=True, help="The actor that runs each task.")
@click.option("--actor-version", type=click.IntRange(1), default=1, show_default=True, help="Its payload's version.")
@click.option("--payload", default="{}", show_default=True, help="Each task's payload, as a JSON object.")
@click.option("--queue", default="default", show_default=True, help="The queue of each task.")
@click.option("--priority", type=int, default=0, show_default=True, help="Higher runs first.")
@click.option("--max-attempts", type=click.IntRange(1), default=3, show_default=True, help="Attempts of each task.")
@click.option("--timeout", type=float, help="Seconds that one attempt may run.  [default: the actor's own]")
@click.option(
    "--catch-up",
    type=click.Choice([policy.value for policy in CatchUp]),
    default=CatchUp.LATEST.value,
    show_default=True,
    help="Ticks missed while no worker ran: the latest, all (at most 100), or none that is over a minute late.",
)
@json_option
@click.pass_obj
def put(make_database: MakeDatabase, /, name: str, *, as_json: bool, **options: Any) -> None:
    """Create or replace the schedule NAME; a paused one stays paused."""
    timeout = options["timeout"]
    new = NewSchedule(
        owner_id=options["owner"],
        name=name,
        cron=options["cron"],
        time_zone=options["zone"],
        actor=options["actor"],
        actor_version=options["actor_version"],
        payload=_payload(options["payload"]),
        queue=options["queue"],
        priority=options["priority"],
        max_attempts=options["max_attempts"],
        timeout=None if timeout is None else timedelta(seconds=timeout),
        catch_up=CatchUp(options["catch_up"]),
    )
    _print(_run(make_database, lambda repository: repository.put(new)), as_json=as_json)


@schedules.command()
@click.argument("name")
@owner_option
@json_option
@click.pass_obj
def pause(make_database: MakeDatabase, name: str, owner: str, *, as_json: bool) -> None:
    """Stop the schedule NAME from firing."""
    _print(_run(make_database, lambda repository: repository.pause(name, owner_id=owner)), as_json=as_json)


@schedules.command()
@click.argument("name")
@owner_option
@json_option
@click.pass_obj
def resume(make_database: MakeDatabase, name: str, owner: str, *, as_json: bool) -> None:
    """Let the schedule NAME fire again, from now on."""
    _print(_run(make_database, lambda repository: repository.resume(name, owner_id=owner)), as_json=as_json)


@schedules.command()
@click.argument("name")
@owner_option
@json_option
@click.pass_obj
def delete(make_database: MakeDatabase, name: str, owner: str, *, as_json: bool) -> None:
    """Forget the schedule NAME; its tasks stay."""
    _run(make_database, lambda repository: repository.delete(name, owner_id=owner))
    click.echo(json.dumps({"deleted": name}) if as_json else f"{name}: deleted")


def _run(make_database: MakeDatabase, work: Callable[[ScheduleRepository], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with make_database() as database:
            return await work(ScheduleRepository(database))

    try:
        return asyncio.run(opened())
    except AppDbError as exc:
        raise click.ClickException(str(exc)) from exc


def _payload(text: str) -> dict[str, Any]:
    try:
        payload = json.loads(text)
    except ValueError as exc:
        raise click.BadParameter(f"this is not JSON ({exc})", param_hint="--payload") from exc
    if not isinstance(payload, dict):
        raise click.BadParameter('write a JSON object, such as \'{"text": "hello"}\'', param_hint="--payload")
    return payload


def _plain(schedule: Schedule) -> dict[str, Any]:
    return schedule.model_dump(mode="json")


def _print(schedule: Schedule, *, as_json: bool) -> None:
    click.echo(json.dumps(_plain(schedule), indent=2) if as_json else _line(schedule))


def _line(schedule: Schedule) -> str:
    coming = f"next {schedule.next_at:%Y-%m-%d %H:%M} UTC" if schedule.enabled else "paused"
    return f"{schedule.name}: {schedule.cron!r} in {schedule.time_zone}, actor {schedule.actor}, {coming}"
