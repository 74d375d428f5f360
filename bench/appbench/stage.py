"""The stage of a measure: a server, a fresh database, and worker processes that offer the bench's actors."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from appdb import Database, NewTask
from appdemo.host import Host

OWNER = "bench"
QUEUE = "default"
NOOP = NewTask(owner_id=OWNER, actor="bench.noop", payload={})
IN_FLIGHT = 32
READY_SECONDS = 60

_numbers = count()


class BenchError(Exception):
    """A measure cannot be trusted; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The stage that all measures share.

    Args:
        uri: The server, which nobody else uses.
        logs: The folder for the output of processes.
        quick: Whether to measure less, for a first impression.
        history: How many finished tasks a long history has.
    """

    uri: str
    logs: Path
    quick: bool
    history: int

    def size(self, full: int, quick: int) -> int:
        """Return how much to measure."""
        return quick if self.quick else full

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """Yield an empty database with our indexes, which is dropped in the end."""
        database = Database(self.uri, f"bench_{time.time_ns()}")
        await database.migrate()
        async with database:
            try:
                yield database
            finally:
                await database.raw.client.drop_database(database.name)

    def start(self, name: str, command: list[str], database: Database) -> Host:
        """Start a process of this Python for *database*."""
        path = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            "APP_MONGO_URI": self.uri,
            "APP_MONGO_DATABASE": database.name,
            "PYTHONPATH": os.pathsep.join(path),
        }
        return Host(f"{name}-{next(_numbers)}", [sys.executable, *command], environment, self.logs)

    @contextmanager
    def worker(
        self, database: Database, *, actors: Sequence[str] = ("noop",), slots: int, processes: int = 1
    ) -> Iterator[Host]:
        """Yield a worker host whose processes are all ready, for the length of the block."""
        offered = ",".join(f"appbench.actors:{name}" for name in actors)
        command = ["-m", "appworker", "--actors", offered, "--slots", str(slots)]
        worker = self.start("worker", [*command, "--processes", str(processes)], database)
        try:
            deadline = time.monotonic() + READY_SECONDS
            while len(re.findall(r'"event": "ready"', worker.log.read_text(errors="replace"))) < processes:
                worker.check()
                if time.monotonic() > deadline:
                    raise BenchError(f"the worker was not ready within {READY_SECONDS} s; see {worker.log}")
                time.sleep(0.05)
            yield worker
        finally:
            worker.stop()
