"""Worker processes, and tasks for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appdb import Database
from appdemo.host import Host
from appsupport.hosts.live_tasks import LEASE_SECONDS, StartWorker, Tasks

PROBES = (
    "work,leave,noop,block,burn,chunks,raise_,exit_,discard,huge,slow,later,thread,process,deaf,report,gate,untold,"
    "parent"
)


@pytest.fixture
def tasks(database: Database) -> Tasks:
    return Tasks(database)


@pytest.fixture
def start_worker(mongo_uri: str, database: Database, logs: Path) -> Iterator[StartWorker]:
    """Start worker processes that offer the probe actors; whatever is left of them is killed after the test."""
    running: list[Host] = []

    def start(slots: int = 4, others: str = "", **environment: str) -> Host:
        folder = str(Path(__file__).parent / "actors")
        actors = ",".join([*(f"probe_actors:{name}" for name in PROBES.split(",")), *others.split()])
        settings = {
            "APP_MONGO_URI": mongo_uri,
            "APP_MONGO_DATABASE": database.name,
            "APPWORKER_LEASE": str(LEASE_SECONDS),
            "APPWORKER_HEARTBEAT": "0.4",
            "PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        }
        command = [sys.executable, "-m", "appworker", "--actors", actors, "--slots", str(slots)]
        host = Host(f"worker-{len(running)}", command, settings | environment, logs)
        running.append(host)
        host.wait_for(r'"event": "(ready)"')
        return host

    yield start
    for host in running:
        host.process.kill()
        host.process.wait()
        print(f"--- {host.name}\n{host.log.read_text(errors='replace')[-5000:]}")  # noqa: T201 - shown on failure
