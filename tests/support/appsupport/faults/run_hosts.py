"""API hosts and workers of a fault test, each a process that can be killed and started again where it was."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from appdb import Database
from appdb.embedded import free_port
from appdemo.host import Host
from appsupport.faults.worker_fleet import FAULTS, NOISE_SECONDS, RECOVER_SECONDS, SUPPORT

WORKERS = ("worker-a", "worker-b")
API_HOSTS = ("api-a", "api-b")
MOST_SHOWN = 3_000
WORKER_LEASE_SECONDS = 6
"""How long a worker holds a task. Hosts that all start at once keep each other from renewing for some seconds, and an
attempt that is lost so counts as one that was killed."""
ENGINE_LEASE_SECONDS = 30
"""How long an API host holds a task of the engine, also when it is dead."""
LONGEST_SILENCE = ENGINE_LEASE_SECONDS + RECOVER_SECONDS + NOISE_SECONDS
"""How long nothing may happen to a run that waits for no person while hosts work, in seconds."""
SPARED_SECONDS = 0.2
LAST_CLAIM = {"$eq": ["$attempt", {"$subtract": ["$max_attempts", 1]}]}
LAST_ATTEMPT = {
    "$or": [
        {"state": "processing", "$expr": {"$gte": ["$attempt", "$max_attempts"]}},
        # The claim may be on its way already.
        {"state": {"$in": ["scheduled", "queued"]}, "$expr": LAST_CLAIM},
    ]
}
"""A task that fails where its worker is killed once more."""


@dataclass(slots=True, kw_only=True)
class RunHosts:
    """
    The hosts of one database, by name; a host that is started again listens where it did.

    Args:
        uri: Where the database is.
        database: An open database of the test's own.
        logs: A folder for the hosts' output.
        models_url: Where the actor ``llm`` finds models.
    """

    uri: str
    database: Database
    logs: Path
    models_url: str
    hosts: dict[str, Host] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        """Where the API hosts listen."""
        return [f"http://127.0.0.1:{port}" for port in self.ports.values()]

    def address_of(self, name: str) -> str:
        """Return where the API host of this name listens, also while it is away."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def launch(self, name: str, **environment: str) -> Host:
        """Start the host of this name, a worker or an API host, without waiting for it."""
        command = self._api(name) if name.startswith("api") else ["-m", "appworker", "--slots", "2"]
        host = Host(name, [sys.executable, *command], self._settings() | environment, self.logs)
        self.hosts[name] = host
        return host

    def start(self, *names: str) -> None:
        """Start hosts, and return when all of them work."""
        for name in names:
            self.launch(name)
        for name in names:
            self.wait_for(name)

    def wait_for(self, name: str) -> None:
        """Return when a host works."""
        ready = r"appserver is (ready) at" if name.startswith("api") else r'"event": "(ready)"'
        self.hosts[name].wait_for(ready)

    def kill(self, name: str) -> None:
        """End a host as a power cut does."""
        self.hosts[name].process.kill()
        self.hosts[name].process.wait()

    async def kill_worker(self, name: str) -> None:
        """Kill a worker, yet never in the last attempt of a task, which would fail as one that kills its workers."""
        process = self.hosts[name].process
        while True:
            await self._without_last_attempts()
            # It stands still, so that between this look and the kill it claims nothing.
            process.send_signal(signal.SIGSTOP)
            if await self.database.collection("tasks").find_one(LAST_ATTEMPT) is None:
                return await asyncio.to_thread(self.kill, name)
            process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill what is left, and show the end of each log, which is seen when the test failed."""
        for name, host in self.hosts.items():
            self.kill(name)
            print(f"--- {name}\n{host.log.read_text(errors='replace')[-MOST_SHOWN:]}")  # noqa: T201

    async def _without_last_attempts(self) -> None:
        while await self.database.collection("tasks").find_one(LAST_ATTEMPT) is not None:
            await asyncio.sleep(SPARED_SECONDS)

    def _api(self, name: str) -> list[str]:
        port = self.ports.setdefault(name, free_port())
        return [str(FAULTS / "crashing_appserver.py"), "--port", str(port)]

    def _settings(self) -> dict[str, str]:
        return {
            "APP_MONGO_URI": self.uri,
            "APP_MONGO_DATABASE": self.database.name,
            "APPSERVER_GUESTS_PER_HOUR": "100000",
            "APPWORKER_LEASE": str(WORKER_LEASE_SECONDS),
            "APPWORKER_HEARTBEAT": "0.4",
            "APPWORKER_OPENAI_BASE_URL": self.models_url,
            "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")]).rstrip(":"),
        }
