"""Several worker processes under one supervisor: they work, drain together, are replaced, and never outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appdb import Database, RegistryRepository, TaskState
from appdemo.host import Host
from appsupport.hosts.live_tasks import Tasks
from appsupport.hosts.worker_hosts import READY, WorkerHosts, eventually, failing, two_free_ports, value

ACTORS_FOLDER = Path(__file__).parents[1] / "actors"
ACTORS = "probe_actors:noop,probe_actors:work"
TWO = ("--actors", ACTORS, "--processes", "2", "--slots", "1")
BOTH_READY = rf"(?s){READY}.*{READY}"


@pytest.fixture
def hosts(mongo_uri: str, database: Database, logs: Path) -> Iterator[WorkerHosts]:
    made = WorkerHosts(mongo_uri, database.name, ACTORS_FOLDER, logs)
    yield made
    made.kill_all()


async def pids(database: Database) -> set[int]:
    return {worker.pid for worker in await RegistryRepository(database).workers()}


async def until_pids(database: Database, count: int, but: frozenset[int] = frozenset(), seconds: float = 30) -> None:
    """Wait until *count* workers are announced, none of which is one of *but*."""
    async with asyncio.timeout(seconds):
        while len(found := await pids(database)) != count or found & but:
            await asyncio.sleep(0.05)


async def both_busy(tasks: Tasks, seconds: float) -> list[str]:
    """Give each of two processes a task, and return the tasks' ids once both run."""
    added = [await tasks.add("probe.work", seconds=seconds, items=int(seconds * 10)) for _ in range(2)]
    for task in added:
        await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    return [task.id for task in added]


def end(host: Host) -> int:
    return host.process.wait(40)


async def test_two_processes_share_work_and_drain(hosts: WorkerHosts, tasks: Tasks, database: Database) -> None:
    host = hosts.start(*TWO)
    host.wait_for(BOTH_READY)
    workers = await pids(database)
    running = await both_busy(tasks, 3)
    waiting = await tasks.add("probe.noop", ledger=os.devnull)
    host.process.terminate()

    assert await asyncio.to_thread(end, host) == 0
    assert len(workers) == 2
    assert host.process.pid not in workers
    states = [(await tasks.queue.get(task_id, owner_id=waiting.owner_id)).state for task_id in running]
    assert states == [TaskState.COMPLETED] * 2
    assert (await tasks.get(waiting)).state is TaskState.QUEUED
    assert await pids(database) == set()


async def test_second_signal_releases_tasks_of_every_process(
    hosts: WorkerHosts, tasks: Tasks, database: Database
) -> None:
    host = hosts.start(*TWO)
    host.wait_for(BOTH_READY)
    running = await both_busy(tasks, 25)
    host.process.send_signal(signal.SIGINT)
    host.wait_for(r'(?s)"event": "(draining)".*"event": "draining"')
    host.process.send_signal(signal.SIGINT)

    async with asyncio.timeout(15):
        assert await asyncio.to_thread(end, host) == 0
    rows = [row async for row in database.collection("tasks").find({"_id": {"$in": running}})]
    assert [(row["state"], row["attempt"]) for row in rows] == [("queued", 0)] * 2


async def test_killed_process_is_replaced(hosts: WorkerHosts, tasks: Tasks, database: Database) -> None:
    host = hosts.start(*TWO)
    host.wait_for(BOTH_READY)
    before = await pids(database)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    host.wait_for(r'"event": "(a worker process has ended, and another takes its place)"')
    await database.collection("workers").delete_one({"pid": victim})
    await until_pids(database, 2, but=frozenset({victim}))
    await both_busy(tasks, 1)
    host.process.terminate()

    assert f'"pid": {victim}, "code": -9' in host.log.read_text()
    assert await asyncio.to_thread(end, host) == 0


async def test_process_never_ready_ends_host(hosts: WorkerHosts, database: Database) -> None:
    first = two_free_ports()
    with socket.create_server(("127.0.0.1", first + 1)):
        host = hosts.start(*TWO, APPWORKER_HEALTH_PORT=str(first))
        code = await asyncio.to_thread(host.process.wait, 100)

    assert code == 1
    said = host.log.read_text()
    assert said.count(f"health cannot be served at 127.0.0.1 port {first + 1}") == 5
    assert "a worker process keeps ending before it is ready; all are stopped" in said
    assert said.count('"event": "stopped"') == 1
    assert await pids(database) == set()


async def test_orphaned_processes_drain(hosts: WorkerHosts, tasks: Tasks, database: Database) -> None:
    host = hosts.start(*TWO)
    host.wait_for(BOTH_READY)
    running = await both_busy(tasks, 2)
    host.process.kill()
    await until_pids(database, 0)

    rows = [row async for row in database.collection("tasks").find({"_id": {"$in": running}})]
    assert [row["state"] for row in rows] == ["completed"] * 2
    assert host.log.read_text().count("the supervisor of this worker process has ended") == 2


async def test_each_process_serves_health_at_own_port(hosts: WorkerHosts) -> None:
    first = two_free_ports()
    host = hosts.start(*TWO, APPWORKER_HEALTH_PORT=str(first))
    host.wait_for(BOTH_READY)
    addresses = [f"http://127.0.0.1:{first + index}" for index in range(2)]
    eventually(lambda: [failing(address, "/healthz/ready") for address in addresses], [set(), set()])
    settings = {"APPWORKER_HEALTH_PORT": str(first)}
    healthy = await asyncio.to_thread(lambda: hosts.run("--check-health", "--processes", "2", **settings))
    too_many = await asyncio.to_thread(lambda: hosts.run("--check-health", "--processes", "3", **settings))

    assert [value(address, "appworker_slots") for address in addresses] == [1, 1]
    assert healthy.returncode == 0
    assert (too_many.returncode, f"port {first + 2}" in too_many.stderr) == (1, True)


def test_wrong_setting_is_told_once(hosts: WorkerHosts) -> None:
    ended = hosts.run("--processes", "2", "--actors", "nobody")

    assert (ended.returncode, ended.stderr.count("no installed package offers it")) == (1, 1)
