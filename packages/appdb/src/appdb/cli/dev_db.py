"""`appdb dev-db`: a local MongoDB for development."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from appdb.cli.target import run
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
        # Handlers, and no exception: the server is stopped in order also when a supervisor sends SIGTERM.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        ended = asyncio.create_task(server.wait())
        interrupted = asyncio.create_task(stopped.wait())
        await asyncio.wait({ended, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        interrupted.cancel()
        if not stopped.is_set():
            raise click.ClickException(f"mongod ended by itself with code {await ended}; read {server.log}")
