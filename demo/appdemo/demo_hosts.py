"""The hosts of the demo: database, API host and worker host, each in an environment of its own.

They end with the demo whatever ends it, SIGKILL too; and the demo starts again what ends before it.
"""

from __future__ import annotations

import shlex
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from appdb.embedded import Warden, free_port
from appdemo.data_folder import alone_in
from appdemo.host import READY_SECONDS, Host, HostError

MOST_DEATHS = 5
DEATHS_SECONDS = 60
"""A host that dies more often than that within so many seconds has a reason that another start does not mend."""
LONGEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Environments:
    """The folders that hold the commands of each environment."""

    database: Path
    server: Path
    worker: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A host's command, and the line of its log that tells that it works."""

    command: Sequence[str]
    environment: Mapping[str, str]
    ready: str


class DemoHosts:
    """Starts the demo's hosts in order, starts again what ends, and stops all in reverse."""

    def __init__(self, environments: Environments, folder: Path, port: int) -> None:
        self._environments = environments
        self._folder = folder
        self._port = port or free_port()
        # The same at each start of the database: the other hosts know no other.
        self._services = self._describe(free_port())
        self._running: dict[str, Host] = {}
        self._deaths: dict[str, deque[float]] = {name: deque() for name in self._services}
        self._held = ExitStack()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._port}/"

    @property
    def exports(self) -> str:
        """What a shell sets to work on the demo's database."""
        named = self._services["server"].environment
        return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in named.items())

    def start(self) -> None:
        """Start everything and return when the page can be opened.

        Raises:
            HostError: A host could not start.
            FolderTakenError: Another demo runs in the same folder.
        """
        lock = self._held.enter_context(alone_in(self._folder))
        # The folder stays taken until the last host is gone, although this process may be killed before.
        self._warden = Warden(keep_open=[lock])
        self._held.callback(self._warden.close)
        for name in self._services:
            self._run(name)
            if name == "database":
                self._migrate()

    def keep(self) -> None:
        """Start again what has ended, and say so.

        Raises:
            HostError: A host ended more than five times within a minute.
        """
        for name, host in list(self._running.items()):
            if host.process.poll() is not None:
                self._revive(name)

    def stop(self) -> None:
        """Stop everything, last started first."""
        while self._running:
            _, host = self._running.popitem()
            host.stop()
            self._warden.forget(host.process.pid)
        self._held.close()

    def _describe(self, database_port: int) -> dict[str, Service]:
        places = self._environments
        data = ["--data", str(self._folder / "db"), "--port", str(database_port)]
        uri = f"mongodb://127.0.0.1:{database_port}/?replicaSet=rs0"
        shared = {"APP_MONGO_URI": uri, "APP_MONGO_DATABASE": "demo"}
        database = [str(places.database / "appdb"), "dev-db", *data]
        server = [str(places.server / "appserver"), "--port", str(self._port)]
        # What runs when the demo is stopped is handed back soon, and goes on at its next start.
        worker = shared | {"APPWORKER_DRAIN": "3"}
        return {
            "database": Service(command=database, environment={}, ready=r"(MongoDB is ready)"),
            "worker": Service(
                command=[str(places.worker / "appworker")], environment=worker, ready=r'"event": "(ready)"'
            ),
            "server": Service(command=server, environment=shared, ready=r"(appserver is ready)"),
        }

    def _migrate(self) -> None:
        command = [str(self._environments.server / "appdb"), "migrate"]
        migrating = Host("migrate", command, self._services["server"].environment, self._folder / "logs")
        self._warden.watch(migrating.process.pid)
        if migrating.process.wait(READY_SECONDS) != 0:
            migrating.check()
        self._warden.forget(migrating.process.pid)

    def _run(self, name: str) -> None:
        service = self._services[name]
        host = self._running[name] = Host(name, service.command, service.environment, self._folder / "logs")
        self._warden.watch(host.process.pid)
        host.wait_for(service.ready)

    def _revive(self, name: str) -> None:
        while (dead := self._running[name]).process.poll() is not None:
            self._warden.forget(dead.process.pid)
            pause = self._count_death(name)
            print(f"demo: the {name} {dead.end()}; starting it again", flush=True)
            time.sleep(pause)
            try:
                self._run(name)
            except HostError as exc:
                print(f"demo: {exc}", flush=True)
                continue
            print(f"demo: the {name} is ready again", flush=True)

    def _count_death(self, name: str) -> float:
        """Note that a host has died, and return how many seconds to wait before its next start."""
        now, deaths = time.monotonic(), self._deaths[name]
        while deaths and now - deaths[0] > DEATHS_SECONDS:
            deaths.popleft()
        if len(deaths) == MOST_DEATHS:
            self._running[name].check()
        deaths.append(now)
        return 0.0 if len(deaths) == 1 else min(0.25 * 2 ** len(deaths), LONGEST_PAUSE_SECONDS)
