"""A replica set to break, a database on it, and worker processes that live through it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from appdb import Database
from appdemo.host import Host
from appsupport.faults.fault_bounds import QUICK_ELECTION
from appsupport.faults.replica_set_workers import StartWorker
from appsupport.mongo.replica_set import ReplicaSet, ReplicaSetOptions, fresh_database, replica_set

ACTORS = "replica_set_actors:steady"


@pytest.fixture(scope="session")
def shared_replica_set(request: pytest.FixtureRequest) -> Iterator[ReplicaSet]:
    """A started replica set of three; what it is made of is printed."""
    with replica_set(ReplicaSetOptions(election=QUICK_ELECTION)) as started:
        reporter = request.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"replica set for fault tests: {started.description}")
        yield started


@pytest.fixture
def three_nodes(shared_replica_set: ReplicaSet) -> Iterator[ReplicaSet]:
    """The set, whole; whatever a test did to it is undone afterwards."""
    yield shared_replica_set
    shared_replica_set.mend()


@pytest.fixture
def cuttable(three_nodes: ReplicaSet) -> ReplicaSet:
    """The set, where its network can be cut."""
    if three_nodes.cut_problem is not None:
        pytest.skip(f"NOTHING CAN BE CUT HERE: {three_nodes.cut_problem}")
    return three_nodes


@pytest.fixture
async def replica_set_database(three_nodes: ReplicaSet) -> AsyncIterator[Database]:
    """An open, migrated database on the set."""
    async with fresh_database(three_nodes.uri) as database:
        yield database


@pytest.fixture
def start_replica_set_worker(
    three_nodes: ReplicaSet, replica_set_database: Database, logs: Path
) -> Iterator[StartWorker]:
    """Start worker processes; whatever is left of them is killed after the test."""
    running: list[Host] = []

    def start(*prefix: str, actors: str = ACTORS, **environment: str) -> Host:
        settings = {
            "APP_MONGO_URI": three_nodes.uri,
            "APP_MONGO_DATABASE": replica_set_database.name,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        }
        command = [*prefix, sys.executable, "-m", "appworker", "--actors", actors, "--slots", "4"]
        host = Host(f"worker-{len(running)}", command, settings | environment, logs)
        running.append(host)
        host.wait_for(r'"event": "(ready)"')
        return host

    yield start
    for host in running:
        host.process.kill()
        host.process.wait()
        print(f"--- {host.name}\n{host.log.read_text(errors='replace')[-5000:]}")  # noqa: T201 - shown on failure
