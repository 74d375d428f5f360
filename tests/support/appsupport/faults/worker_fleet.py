"""The worker processes of a fault test, which can be killed, frozen and told to stop."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from appdb import Database, NewTask, RegistryRepository, Task, TaskQueue
from appdemo.host import Host
from appsupport.faults.ledger import Ledger

OWNER = "usr_a"
LEASE_SECONDS = 2.0
RECOVER_SECONDS = 5.0
"""How often a worker looks for leases that have ended, at the most seldom."""
NOISE_SECONDS = 6.0
"""What a slow and busy machine may add to a bound."""
MOST_SHOWN = 12
ROUNDS = "APP_TEST_FAULT_ROUNDS"
ACTORS = ("probe_actors:task", "probe_actors:thread", "probe_actors:process")
SUPPORT = Path(__file__).parents[2]
FAULTS = SUPPORT.parent / "faults"


@dataclass(slots=True, kw_only=True)
class Fleet:
    """
    Workers on one database, and the ledger of what they do.

    Args:
        uri: Where the database is.

        database: An open database that is the test's own.

        ledger: What is acknowledged goes here.

        logs: A folder for the workers' output.
    """

    uri: str
    database: Database
    ledger: Ledger
    logs: Path
    hosts: list[Host] = field(default_factory=list)

    def launch(self, *, slots: int = 4, actors: Sequence[str] = ACTORS, **environment: str) -> Host:
        """Start a worker without waiting for it."""
        settings = {
            "APP_MONGO_URI": self.uri,
            "APP_MONGO_DATABASE": self.database.name,
            "APPWORKER_LEASE": str(LEASE_SECONDS),
            "APPWORKER_HEARTBEAT": "0.4",
            "APP_TEST_NOTES": str(self.ledger.notes),
            "PYTHONPATH": os.pathsep.join([str(FAULTS), str(SUPPORT), os.environ.get("PYTHONPATH", "")]).rstrip(":"),
        }
        command = [sys.executable, "-m", "appworker", "--actors", ",".join(actors), "--slots", str(slots)]
        host = Host(f"worker-{len(self.hosts)}", command, settings | environment, self.logs)
        self.hosts.append(host)
        return host

    def start(self, *, slots: int = 4, actors: Sequence[str] = ACTORS, **environment: str) -> Host:
        """Start a worker and return when it claims."""
        host = self.launch(slots=slots, actors=actors, **environment)
        host.wait_for(r'"event": "(ready)"')
        return host

    def running(self) -> list[Host]:
        """Return the workers that have not ended."""
        return [host for host in self.hosts if host.process.poll() is None]

    async def add(
        self,
        *,
        actor: str = "fault.task",
        queue: str = "default",
        max_attempts: int = 3,
        reserves: Decimal | None = None,
        **payload: Any,
    ) -> Task:
        """Enqueue a task for a probe actor."""
        new = NewTask(owner_id=OWNER, actor=actor, payload=payload, queue=queue, max_attempts=max_attempts)
        return await self.ledger.enqueue(replace(new, reserves=reserves))

    async def get(self, task: Task) -> Task:
        """Return *task* as it is now."""
        return await TaskQueue(self.database).get(task.id, owner_id=OWNER)

    async def holder(self, task: Task) -> Host | None:
        """Return the worker that holds *task* now, if any."""
        lease = (await self.get(task)).lease
        if lease is None:
            return None
        pids = {worker.id: worker.pid for worker in await RegistryRepository(self.database).workers()}
        return next((host for host in self.hosts if host.process.pid == pids.get(lease.worker_id)), None)

    def end(self) -> None:
        """Kill what is left, and show the end of each log, which is seen when the test failed."""
        for host in self.hosts:
            host.process.kill()
            host.process.wait()
        for host in self.hosts[-MOST_SHOWN:]:
            print(f"--- {host.name}\n{host.log.read_text(errors='replace')[-4000:]}")  # noqa: T201


def signal_to(host: Host, number: signal.Signals) -> None:
    """Send a signal to a worker that may have ended."""
    if host.process.poll() is None:
        host.process.send_signal(number)


def rounds(short: int) -> int:
    """Return how many rounds to do: *short*, or as many as APP_TEST_FAULT_ROUNDS says."""
    return int(os.environ.get(ROUNDS) or short)


def whole() -> bool:
    """Return whether somebody asked for more than the short form, by APP_TEST_FAULT_ROUNDS."""
    return bool(os.environ.get(ROUNDS))


def seeded() -> random.Random:
    """Return the test's chance; its seed, APP_TEST_SEED or a new one, is printed with a failure."""
    seed = int(os.environ.get("APP_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"repeat with APP_TEST_SEED={seed}")  # noqa: T201
    return random.Random(seed)
