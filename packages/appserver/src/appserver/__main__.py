"""``appserver``, or ``python -m appserver``: run an API host until it is told to stop, or a command beside it."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Sequence

import uvicorn

from appdb import AppDbError, Database
from appserver._version import __version__
from appserver.api.app import create_app
from appserver.cli.workflows import add_workflows
from appserver.errors import ServerSettingsError
from appserver.logs import configure_logs
from appserver.settings import ServerSettings, load_settings


class Server(uvicorn.Server):
    """A server that prints its address once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and print the address."""
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            host = f"[{host}]" if ":" in host else host
            print(f"appserver is ready at http://{host}:{port}/", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 after a stop, 1 when it cannot serve, with the reason on stderr."""
    options = _parser().parse_args(arguments)
    if options.run is not None:
        return int(options.run(options))
    given = {name: value for name, value in vars(options).items() if value is not None}
    try:
        settings = load_settings(**given)
        configure_logs(settings.log_level)
        asyncio.run(_check(settings))
        return _serve(settings)
    except (ServerSettingsError, AppDbError) as exc:
        print(f"appserver: {exc}", file=sys.stderr)
        return 1


async def _check(settings: ServerSettings) -> None:
    # Before the server starts, so that the reason is all that is printed.
    async with Database(settings.mongo_uri.get_secret_value(), settings.mongo_database):
        pass


def _serve(settings: ServerSettings) -> int:
    listening = _listen(settings.host, settings.port)
    # After its drain the server raises the signal again, which would end us with a traceback or another exit code.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    server = Server(server_config(settings))
    server.run(sockets=[listening])
    return 0 if server.started else 1


def server_config(settings: ServerSettings) -> uvicorn.Config:
    """Return how the application is served."""
    return uvicorn.Config(
        create_app(settings),
        # Named (decision 0015): where one of them is missing, the server does not start, in place of being slow.
        loop="uvloop",
        http="httptools",
        # Our own log handler and access log stand for uvicorn's.
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        forwarded_allow_ips=settings.trusted_proxies,
    )


def _stop(_number: int, _frame: object) -> None:
    """Let a drained server end as asked."""


def _listen(host: str, port: int) -> socket.socket:
    # Opened here and not by uvicorn, which would log the error and end the process itself.
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        raise ServerSettingsError(
            f"cannot listen on {host}:{port}: {exc.strerror}; stop what listens there, or choose another APPSERVER_PORT"
        ) from exc


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="appserver", description="Serve the API and the page, until SIGTERM; or run a command."
    )
    parser.add_argument("--version", action="version", version=f"appserver {__version__}")
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="the port to listen on; 0 takes a free one (default: 8000)")
    parser.set_defaults(run=None)
    add_workflows(parser.add_subparsers(title="commands", metavar="COMMAND"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
