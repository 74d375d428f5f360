"""`appdb queues`: lists the queues, and pauses or resumes them."""

from __future__ import annotations

import click

from appdb.cli.output import json_line, printable, table
from appdb.cli.target import Target, pass_target
from appdb.database import Database
from appdb.models.queues import QueueStats
from appdb.queue.task_queue import TaskQueue
from appdb.repos.registry import RegistryRepository

HEAD = ("queue", "paused", "queued", "processing", "workers")


@click.group()
def queues() -> None:
    """Pause and resume queues, and list them."""


@queues.command()
@click.argument("name")
@pass_target
def pause(target: Target, name: str) -> None:
    """Hand out no more tasks of a queue; running ones go on. Workers heed it within a second."""
    known = target.run(lambda database: _paused(database, name))
    click.echo(f"queue {printable(name)!r} is paused; `appdb queues resume` lets it go on")
    # A queue exists only as a name, so a misspelt one can be paused as well.
    if name not in known:
        others = ", ".join(map(printable, sorted(known))) or "(there is none)"
        click.echo(f"note: no task and no worker is on queue {printable(name)!r} now; known are {others}", err=True)


@queues.command()
@click.argument("name")
@pass_target
def resume(target: Target, name: str) -> None:
    """Hand out tasks of a queue again."""
    target.run(lambda database: TaskQueue(database).resume(name))
    click.echo(f"queue {printable(name)!r} hands out tasks")


@queues.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per queue and line.")
@pass_target
def list_queues(target: Target, as_json: bool) -> None:
    """List the queues that have tasks or workers, or are paused."""
    rows = target.run(_rows)
    if as_json:
        for row in rows:
            click.echo(json_line(row))
    else:
        click.echo(table(HEAD, [list((row | {"paused": "yes" if row["paused"] else "no"}).values()) for row in rows]))


async def _paused(database: Database, name: str) -> set[str]:
    """Pause a queue, and return those that had tasks or workers, or were paused, before."""
    known = {str(row["queue"]) for row in await _rows(database)}
    await TaskQueue(database).pause(name)
    return known


async def _rows(database: Database) -> list[dict[str, str | int | bool]]:
    queue = TaskQueue(database)
    counted: dict[str, QueueStats] = {found.queue: found for found in await queue.stats()}
    paused = await queue.paused()
    # A queue is a name: tasks, a pause or a worker that serves it make it known.
    serving = [name for worker in await RegistryRepository(database).workers() for name in worker.queues]
    return [
        {
            "queue": name,
            "paused": name in paused,
            "queued": counted[name].queued if name in counted else 0,
            "processing": counted[name].processing if name in counted else 0,
            "workers": serving.count(name),
        }
        for name in sorted({*counted, *paused, *serving})
    ]
