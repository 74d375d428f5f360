"""The commands on the database as a whole: run the embedded one, migrate, check."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from appdb.cli.running import Target, pass_target, run
from appdb.database import Database
from appdb.embedded import DEFAULT_PORT, EmbeddedServer


@click.command("dev-db")
@click.option("--data", type=click.Path(path_type=Path), default=Path(".appdb"), show_default=True, help="Data folder.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: any free port."
)
def dev_db(data: Path, port: int) -> None:
    """Run a local MongoDB, for development only, until interrupted."""
    run(lambda: _serve(data.absolute(), port))


async def _serve(data: Path, port: int) -> None:
    async with EmbeddedServer(data, port=port) as server:
        click.echo(f"MongoDB is ready: {server.uri}")
        click.echo(f"data: {server.data}, log: {server.log}; stop with Ctrl-C")
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        ended = asyncio.create_task(server.wait())
        interrupted = asyncio.create_task(stopped.wait())
        await asyncio.wait({ended, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        interrupted.cancel()
        if not stopped.is_set():
            raise click.ClickException(f"mongod ended by itself with code {await ended}; read {server.log}")


@click.command()
@pass_target
def migrate(target: Target) -> None:
    """Bring the database to this release's contract; safe to repeat."""

    async def work(database: Database) -> None:
        await database.check_server()
        done = await database.migrate()
        for migration in done:
            click.echo(f"{migration.id}: {migration.description}")
        click.echo(f"{len(done)} migrations run; database {database.name!r} is up to date")

    run(lambda: _with(target, work))


@click.command()
@pass_target
def check(target: Target) -> None:
    """Say whether this release can work with the database; exit code 1 when not."""

    async def work(database: Database) -> None:
        await database.open()
        pending = await database.pending_migrations()
        if pending:
            names = ", ".join(migration.id for migration in pending)
            raise click.ClickException(f"these migrations are pending: {names}; run `appdb migrate`")
        click.echo(f"database {database.name!r} is reachable, a replica set, and up to date")

    run(lambda: _with(target, work))


async def _with(target: Target, work: Callable[[Database], Awaitable[None]]) -> None:
    """Run *work* on a database that is not opened: it may not fit this release, and migrations take their time."""
    database = target(operation_timeout=None)
    try:
        await work(database)
    finally:
        await database.close()
