"""The command line ``appworker``: runs a worker host until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from typing import Any

import uvloop

from appdb import AppDbError, Database, TaskQueue
from appdb.host import NO_RETRIES, GuardFacts, LeaseGuard, app_name_of
from appworker._version import __version__
from appworker.actors.loading import ActorsByHandler, load_actors
from appworker.errors import AppWorkerError
from appworker.health.check import check_health
from appworker.health.monitor import monitored
from appworker.host.forks import heeded, part_from_forks
from appworker.host.leaving import leave_for_sure
from appworker.host.malloc import share_one_arena
from appworker.host.supervised import SupervisorLink
from appworker.host.supervisor import Supervisor
from appworker.logs import configure_logs
from appworker.providers.registry import installed_providers, working
from appworker.settings import WorkerSettings, load_settings
from appworker.worker.options import WorkerOptions
from appworker.worker.runner import Runner

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 after draining, 1 when it cannot work, with the reason on stderr."""
    # First of all: an arena is chosen when a thread allocates for the first time.
    share_one_arena()
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = {name: value for name, value in vars(_parser().parse_args(given)).items() if value is not None}
    try:
        return _run(given, options)
    except (AppWorkerError, AppDbError) as exc:
        print(f"appworker: {exc}", file=sys.stderr)
        return 1


def _run(arguments: Sequence[str], options: dict[str, Any]) -> int:
    question, socket = options.pop("check_health", None), options.pop("supervisor_socket", None)
    settings = load_settings(**options)
    if question is not None:
        print(check_health(settings, question))
        return 0
    configure_logs(settings.log_level)
    actors = load_actors(settings.actors)
    if settings.processes > 1:
        return asyncio.run(Supervisor(settings, arguments).run())
    supervisor = None if socket is None else SupervisorLink(socket)
    # Imported modules stay until the end: once frozen, they are no work for the garbage collector.
    gc.collect()
    # A tenth more short tasks: 4,344 a second in place of 3,774, and 4,456 in place of 4,075 in a second turn.
    gc.freeze()
    try:
        # A twentieth more short tasks than on asyncio's loop (docs/decisions/0015).
        uvloop.run(_work(settings, actors, _options(settings, actors), supervisor))
    except BaseException:
        # A thread of an actor that never ends would hold up the interpreter's exit for ever.
        leave_for_sure(1)
        raise
    leave_for_sure(0)
    return 0


async def _work(
    settings: WorkerSettings, actors: ActorsByHandler, options: WorkerOptions, supervisor: SupervisorLink | None
) -> None:
    database = Database(
        settings.mongo_uri.get_secret_value(),
        settings.mongo_database,
        app_name=app_name_of(f"appworker/{__version__}", settings.mongo_database),
        retry_timeout=NO_RETRIES,  # its loops repeat, and must hear in time that they cannot renew
    )
    loop = asyncio.get_running_loop()
    # Only declared names become labels: a name from a task would let users create series.
    names = {actor.name for actor in actors.values()}
    with monitored(settings, actors=names, queues=options.queues) as monitor:
        async with database:
            queue = TaskQueue(database, lease=settings.lease)
            runner = Runner(database, queue, actors, options, LeaseGuard(_guard_facts(settings)), monitor)
            part_from_forks()
            for number in heeded():
                loop.add_signal_handler(number, runner.hang_up if number is signal.SIGHUP else runner.drain)
            # A process whose supervisor was killed has nobody who replaces it, so it ends.
            if supervisor is not None:
                monitor.health.when_announced(supervisor.tell_ready)
                supervisor.when_gone(loop, lambda: _drain_alone(runner))
            await runner.run()


def _guard_facts(settings: WorkerSettings) -> GuardFacts:
    return GuardFacts(
        uri=settings.mongo_uri,
        database=settings.mongo_database,
        lease=settings.lease,
        heartbeat=settings.heartbeat,
    )


def _drain_alone(runner: Runner) -> None:
    logger.warning("the supervisor of this worker process has ended; it drains")
    runner.drain()


def _options(settings: WorkerSettings, actors: ActorsByHandler) -> WorkerOptions:
    queues = settings.queues or tuple(sorted({actor.queue for actor in actors.values()}))
    return WorkerOptions(
        queues=queues,
        slots=settings.slots,
        heartbeat=settings.heartbeat,
        drain=settings.drain,
        retention=settings.retention,
        providers=working(installed_providers()),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="appworker", description="Claim tasks from MongoDB and run actors, until SIGTERM or Ctrl-C."
    )
    parser.add_argument("--version", action="version", version=f"appworker {__version__}")
    parser.add_argument("--queues", metavar="A,B", help="claim from these only (default: the actors' own)")
    parser.add_argument("--slots", type=int, metavar="N", help="how many tasks run at a time (default: cores)")
    parser.add_argument("--actors", metavar="A,M:B", help="offer these only: installed names, or module:attribute")
    parser.add_argument(
        "--processes", type=int, metavar="N", help="how many worker processes, each with its slots (default: 1)"
    )
    parser.add_argument(
        "--check-health",
        nargs="?",
        const="live",
        choices=["live", "ready"],
        help="run no worker: ask the one on this host, and exit with 0 if it is live (default) or ready, else with 1",
    )
    # Only the supervisor sets it, for each process that it starts.
    parser.add_argument("--supervisor-socket", type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
