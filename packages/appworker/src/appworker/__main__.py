"""``appworker``, or ``python -m appworker``: run a worker until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

from appdb import AppDbError, Database, TaskQueue
from appworker._version import __version__
from appworker.errors import AppWorkerError
from appworker.logs import configure_logs
from appworker.registry import ActorsByHandler, load_actors
from appworker.runner import Runner, RunnerOptions
from appworker.settings import Settings, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 after draining, 1 when it cannot work, with the reason on stderr."""
    options = _parser().parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if value is not None}
    try:
        settings = load_settings(**given)
        configure_logs(settings.log_level)
        asyncio.run(_work(settings, load_actors(settings.actors)))
    except (AppWorkerError, AppDbError) as exc:
        print(f"appworker: {exc}", file=sys.stderr)
        return 1
    return 0


async def _work(settings: Settings, actors: ActorsByHandler) -> None:
    database = Database(
        settings.mongo_uri.get_secret_value(), settings.mongo_database, app_name=f"appworker/{__version__}"
    )
    async with database:
        runner = Runner(database, TaskQueue(database, lease=settings.lease), actors, _options(settings, actors))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, runner.drain)
        await runner.run()


def _options(settings: Settings, actors: ActorsByHandler) -> RunnerOptions:
    queues = settings.queues or tuple(sorted({actor.queue for actor in actors.values()}))
    return RunnerOptions(queues=queues, slots=settings.slots, heartbeat=settings.heartbeat, drain=settings.drain)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="appworker", description="Claim tasks from MongoDB and run actors, until SIGTERM or Ctrl-C."
    )
    parser.add_argument("--version", action="version", version=f"appworker {__version__}")
    parser.add_argument("--queues", metavar="A,B", help="claim from these only (default: the actors' own)")
    parser.add_argument("--slots", type=int, metavar="N", help="how many tasks run at a time (default: cores)")
    parser.add_argument("--actors", metavar="A,M:B", help="offer these only: installed names, or module:attribute")
    return parser


if __name__ == "__main__":
    sys.exit(main())
