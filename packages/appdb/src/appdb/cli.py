"""The ``appdb`` command: run the embedded database, migrate, check."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from appdb._version import __version__
from appdb.cli_schedules import schedules
from appdb.database import Database
from appdb.embedded import DEFAULT_PORT, EmbeddedServer
from appdb.errors import AppDbError

DEFAULT_URI = f"mongodb://127.0.0.1:{DEFAULT_PORT}/?replicaSet=rs0"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="appdb")
@click.option(
    "--uri", envvar="APP_MONGO_URI", default=DEFAULT_URI, show_default=True, help="MongoDB connection string."
)
@click.option("--database", envvar="APP_MONGO_DATABASE", default="app", show_default=True, help="Database name.")
@click.pass_context
def main(context: click.Context, uri: str, database: str) -> None:
    """Look after the database that API hosts and worker hosts share."""
    context.obj = lambda: Database(uri, database, operation_timeout=None)


@main.command("dev-db")
@click.option("--data", type=click.Path(path_type=Path), default=Path(".appdb"), show_default=True, help="Data folder.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: any free port."
)
def dev_db(data: Path, port: int) -> None:
    """Run a local MongoDB, for development only, until interrupted."""
    _run(_serve(data.absolute(), port))


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


@main.command()
@click.pass_obj
def migrate(make_database: Callable[[], Database]) -> None:
    """Bring the database to this release's contract; safe to repeat."""

    async def work(database: Database) -> None:
        await database.check_server()
        done = await database.migrate()
        for migration in done:
            click.echo(f"{migration.id}: {migration.description}")
        click.echo(f"{len(done)} migrations run; database {database.name!r} is up to date")

    _run(_with(make_database(), work))


@main.command()
@click.pass_obj
def check(make_database: Callable[[], Database]) -> None:
    """Say whether this release can work with the database; exit code 1 when not."""

    async def work(database: Database) -> None:
        await database.open()
        pending = await database.pending_migrations()
        if pending:
            names = ", ".join(migration.id for migration in pending)
            raise click.ClickException(f"these migrations are pending: {names}; run `appdb migrate`")
        click.echo(f"database {database.name!r} is reachable, a replica set, and up to date")

    _run(_with(make_database(), work))


main.add_command(schedules)


async def _with(database: Database, work: Callable[[Database], Awaitable[None]]) -> None:
    try:
        await work(database)
    finally:
        database.close()


def _run(work: Awaitable[None]) -> None:
    async def shielded() -> None:
        await work

    try:
        asyncio.run(shielded())
    except AppDbError as exc:
        raise click.ClickException(str(exc)) from exc
