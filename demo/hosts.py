"""The processes of the demo: database, API host and worker host, each in an environment of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 90
STOP_SECONDS = 20
POLL_SECONDS = 0.05
TAIL_LINES = 15


class HostError(Exception):
    """A host could not start, or ended by itself; the message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environments:
    """The folders that hold the commands of each environment."""

    database: Path
    server: Path
    worker: Path


class Host:
    """A running process whose output goes to a log."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = logs / f"{name}.log"
        with self.log.open("wb") as output:
            # A group of its own, so that Ctrl-C reaches us alone and the hosts stop in our order.
            self.process = subprocess.Popen(
                list(command),
                env=os.environ | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, pattern: str) -> str:
        """Return the first group of *pattern* once the log has it.

        Raises:
            HostError: The process ended, or said nothing of the kind in 90 s.
        """
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.log.read_text(errors="replace")):
                return found[1]
            self.check()
            time.sleep(POLL_SECONDS)
        raise HostError(f"{self.name} was not ready within {READY_SECONDS} s\n{self._tail()}")

    def check(self) -> None:
        """Raise ``HostError`` when the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise HostError(f"{self.name} ended with code {code}\n{self._tail()}")

    def stop(self) -> None:
        """Stop the process: politely, then hard."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"the end of {self.log}:", *(f"  {line}" for line in lines)])


class Hosts:
    """All of the demo's processes, started in order and stopped in reverse."""

    def __init__(self, environments: Environments, folder: Path, port: int) -> None:
        self._environments = environments
        self._folder = folder
        self._port = port
        self._running: list[Host] = []
        self.address = ""

    def start(self) -> None:
        """Start everything and return when the page can be opened.

        Raises:
            HostError: Something could not start.
        """
        places = self._environments
        data = ["--data", str(self._folder / "db"), "--port", "0"]
        database = self._run("database", [str(places.database / "appdb"), "dev-db", *data], {})
        shared = {"APP_MONGO_URI": database.wait_for(r"MongoDB is ready: (\S+)"), "APP_MONGO_DATABASE": "demo"}
        migrating = Host("migrate", [str(places.server / "appdb"), "migrate"], shared, self._folder / "logs")
        if migrating.process.wait(READY_SECONDS) != 0:
            migrating.check()
        self._run("worker", [str(places.worker / "appworker")], shared).wait_for(r'"event": "(ready)"')
        server = [str(places.server / "appserver"), "--port", str(self._port)]
        self.address = self._run("server", server, shared).wait_for(r"appserver is ready at (\S+)")

    def _run(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Host:
        host = Host(name, command, environment, self._folder / "logs")
        self._running.append(host)
        return host

    def check(self) -> None:
        """Raise ``HostError`` when one of them has ended."""
        for host in self._running:
            host.check()

    def stop(self) -> None:
        """Stop everything, last started first."""
        while self._running:
            self._running.pop().stop()
