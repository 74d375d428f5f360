"""All hosts of an acceptance test, each a process from an environment that holds its own wheel only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from appdemo.host import Host

SCRIPT = "\n\n".join(f"This is scene number {number}. It says a little, and then it is over." for number in range(1, 6))


def commands(name: str) -> Path:
    return Path(os.environ[f"APP_TEST_{name.upper()}_BIN"])


@dataclass(slots=True, kw_only=True)
class Stack:
    """The hosts of one test, on one database."""

    environment: dict[str, str]
    logs: Path
    port: int
    server: Host
    workers: list[Host]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_server(self) -> None:
        command = [str(commands("server") / "appserver"), "--port", str(self.port)]
        self.server = Host("server", command, self.environment, self.logs)
        self.server.wait_for(r"appserver is ready at (\S+)")

    def start_worker(self) -> Host:
        command = [str(commands("worker") / "appworker"), "--slots", "2"]
        worker = Host(f"worker-{len(self.workers)}", command, self.environment, self.logs)
        self.workers.append(worker)
        worker.wait_for(r'"event": "(ready)"')
        return worker


def generate(client: httpx2.Client, **changes: Any) -> str:
    """Start a generation and return where its task is."""
    payload = {"operation": "script2video", "script": SCRIPT} | changes
    posted = client.post("/api/tasks", json={"actor": "media", "payload": payload}).raise_for_status()
    return str(posted.headers["Location"])
