"""`appdb workers` and `appdb actors`: the workers that are alive, and the actors that they announced."""

from __future__ import annotations

from datetime import datetime

import click

from appdb.cli.output import compact, json_line, moment, printable, table
from appdb.cli.target import Target, pass_target
from appdb.database import Database
from appdb.models.actors import RegisteredActor
from appdb.models.workers import Worker
from appdb.queue.lease import handler
from appdb.repos.registry import RegistryRepository

WORKERS_HEAD = ("worker", "host", "pid", "slots", "seen, s ago", "started", "queues", "actors", "providers")
ACTORS_HEAD = ("actor", "queue", "workers", "attempts", "timeout, s", "last announced", "description")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")


@click.group()
def workers() -> None:
    """See which workers are alive."""


@workers.command("list")
@json_option
@pass_target
def list_workers(target: Target, as_json: bool) -> None:
    """List the workers that gave a sign of life within the last 30 seconds; exit code 0 also when there is none."""

    async def work(database: Database) -> tuple[list[Worker], datetime]:
        return await RegistryRepository(database).workers(), await database.server_time()

    found, now = target.run(work)
    if as_json:
        for worker in found:
            click.echo(json_line(worker.model_dump(mode="json")))
    elif found:
        click.echo(table(WORKERS_HEAD, [_worker_row(worker, now) for worker in found]))
    else:
        click.echo("no worker is alive: start one with `appworker`; tasks wait meanwhile", err=True)


def _worker_row(worker: Worker, now: datetime) -> list[object]:
    silent = round((now - worker.seen_at).total_seconds())
    process = [worker.id, worker.host, worker.pid, worker.slots, silent, moment(worker.started_at)]
    return [*process, *(", ".join(names) for names in (worker.queues, worker.actors, worker.providers))]


@click.group()
def actors() -> None:
    """See what tasks can be submitted for."""


@actors.command("list")
@json_option
@pass_target
def list_actors(target: Target, as_json: bool) -> None:
    """List the actors that workers announced within the last week, and how many live workers have each."""
    found, alive = target.run(_announced)
    if as_json:
        for actor in found:
            click.echo(json_line(actor.model_dump(mode="json") | {"workers": _count(actor, alive)}))
    else:
        click.echo(table(ACTORS_HEAD, [_actor_row(actor, _count(actor, alive)) for actor in found]))


@actors.command()
@click.argument("name")
@json_option
@pass_target
def show(target: Target, name: str, as_json: bool) -> None:
    """Show the actor NAME, with the JSON Schema of its payload."""
    actor = target.run(lambda database: RegistryRepository(database).actor(name))
    if as_json:
        click.echo(json_line(actor.model_dump(mode="json")))
        return
    lines = {
        "actor": f"{handler(actor.id, actor.version)} on queue {actor.queue}",
        "description": actor.description,
        "attempts": f"{actor.max_attempts}, each of {actor.timeout_seconds:g} s at most",
        "limits": ", ".join(limit.key for limit in actor.limits),
        "announced": moment(actor.seen_at),
        "payload": compact(actor.payload_schema),
    }
    click.echo("\n".join(f"{title:<12}  {printable(text)}" for title, text in lines.items() if text))


async def _announced(database: Database) -> tuple[list[RegisteredActor], list[Worker]]:
    registry = RegistryRepository(database)
    return await registry.actors(), await registry.workers()


def _count(actor: RegisteredActor, alive: list[Worker]) -> int:
    return sum(handler(actor.id, actor.version) in worker.actors for worker in alive)


def _actor_row(actor: RegisteredActor, working: int) -> list[object]:
    known = handler(actor.id, actor.version)
    limits = [actor.max_attempts, actor.timeout_seconds]
    return [known, actor.queue, working, *limits, moment(actor.seen_at), actor.description]
