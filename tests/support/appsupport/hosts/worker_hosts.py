"""Worker hosts of a test, started with any arguments, and their health and metrics as seen from outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from appdb.embedded import free_port
from appdemo.host import Host
from appsupport.hosts.live_tasks import LEASE_SECONDS

Labels = Mapping[str, str]
READY = r'"event": "(ready)"'
HEALTH = r"health is served at (http[^\s\"]+)"


class WorkerHosts:
    """Starts worker hosts.

    Args:
        mongo_uri: The database's server.
        database: Its name.
        modules: The folder of the actors' modules.
        logs: Where the hosts' output goes.
    """

    def __init__(self, mongo_uri: str, database: str, modules: Path, logs: Path) -> None:
        path = [str(modules), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._logs = logs
        self._running: list[Host] = []
        self._environment = {
            "APP_MONGO_URI": mongo_uri,
            "APP_MONGO_DATABASE": database,
            "APPWORKER_LEASE": str(LEASE_SECONDS),
            "APPWORKER_HEARTBEAT": "0.4",
            "APPWORKER_HEALTH_PORT": "0",
            "PYTHONPATH": os.pathsep.join(path),
        }

    def start(self, *arguments: str, **environment: str) -> Host:
        command = [sys.executable, "-m", "appworker", *arguments]
        host = Host(f"worker-{len(self._running)}", command, self._environment | environment, self._logs)
        self._running.append(host)
        return host

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "appworker", *arguments],
            env=os.environ | self._environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def kill_all(self) -> None:
        """Kill whatever is left, and show what it said."""
        for host in self._running:
            host.process.kill()
            host.process.wait()
            print(f"--- {host.name}\n{host.log.read_text(errors='replace')[-8000:]}")  # noqa: T201 - shown on failure


def ask(address: str, path: str) -> tuple[int, dict[str, Any]]:
    """Return what *path* of a worker's health answers."""
    response = httpx2.get(f"{address}{path}", timeout=10, trust_env=False)
    return response.status_code, response.json()


def failing(address: str, path: str) -> set[str]:
    """Return the names of the checks that fail."""
    status, body = ask(address, path)
    found = {name for name, check in body["checks"].items() if not check["ok"]}
    assert (status == 200, body["status"] == "ok") == (not found, not found)
    return found


def value(address: str, name: str, labels: Labels | None = None) -> float:
    """Return one sample of a worker's metrics; 0 when there is none yet."""
    text = httpx2.get(f"{address}/metrics", timeout=10, trust_env=False).raise_for_status().text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name and sample.labels == (labels or {}))


def eventually(see: Callable[[], object], wanted: object, seconds: float = 30) -> float:
    """Return after how many seconds *see* gave *wanted*; fail when it does not in time."""
    started_at = time.monotonic()
    while (seen := see()) != wanted:
        assert time.monotonic() - started_at < seconds, f"{seen!r} instead of {wanted!r} after {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - started_at


def two_free_ports() -> int:
    """Return the first of two neighbouring ports that were free a moment ago."""
    while True:
        first = free_port()
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", first + 1))
            return first
