"""`appdb limits`: an operator's limits on rate and concurrency, in place of those that tasks carry."""

from __future__ import annotations

from datetime import timedelta

import click

from appdb.cli.output import json_line, printable, table
from appdb.cli.params import duration
from appdb.cli.target import Target, pass_target
from appdb.models.limits import Limit
from appdb.queue.task_queue import TaskQueue

HEAD = ("key", "concurrency", "rate", "per, s")


@click.group()
def limits() -> None:
    """Set the limits that tasks obey, in place of those that they carry."""


@limits.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per limit and line.")
@pass_target
def list_limits(target: Target, as_json: bool) -> None:
    """List the limits that were set here; those that only tasks carry are shown with the tasks."""
    found = target.run(lambda database: TaskQueue(database).limits())
    if as_json:
        for limit in found:
            click.echo(json_line(_fields(limit)))
    else:
        click.echo(
            table(HEAD, [["-" if value is None else value for value in _fields(limit).values()] for limit in found])
        )


def _fields(limit: Limit) -> dict[str, str | int | float | None]:
    return {
        "key": limit.key,
        "concurrency": limit.concurrency,
        "rate": limit.rate,
        "per_seconds": limit.per.total_seconds() if limit.rate is not None else None,
    }


@limits.command("set")
@click.argument("key")
@click.option("--concurrency", type=int, help="How many tasks with this key may run at a time.")
@click.option("--rate", type=int, help="How many tasks with this key may be claimed in the time that --per says.")
@click.option("--per", type=duration, default="1s", show_default=True, help="The time that --rate is for.")
@pass_target
def set_limit(target: Target, key: str, concurrency: int | None, rate: int | None, per: timedelta) -> None:
    """Set the limit of KEY, such as provider:local, over all workers; it replaces the one before."""
    try:
        limit = Limit(key=key, concurrency=concurrency, rate=rate, per=per)
    except ValueError as exc:
        raise click.UsageError(printable(str(exc))) from exc
    target.run(lambda database: TaskQueue(database).set_limit(limit))
    click.echo(f"limit {printable(key)!r} is set")


@limits.command("clear")
@click.argument("key")
@pass_target
def clear_limit(target: Target, key: str) -> None:
    """Take back what was set for KEY: tasks obey the limits that they carry again."""
    target.run(lambda database: TaskQueue(database).clear_limit(key))
    click.echo(f"nothing is set for limit {printable(key)!r}")
