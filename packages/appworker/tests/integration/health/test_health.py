"""Health and metrics of real worker processes: while they work, drain, stall, and while the database is away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appdb import Database, RegistryRepository, TaskState
from appdb.embedded import EmbeddedServer, free_port
from appsupport.hosts.live_tasks import OWNER, Tasks
from appsupport.hosts.worker_hosts import HEALTH, READY, WorkerHosts, ask, eventually, failing, value
from appworker.health.health import DATABASE_LIMIT, LOOP_LIMIT

ACTORS_FOLDER = Path(__file__).parents[1] / "actors"
ACTORS = "probe_actors:noop,probe_actors:work,probe_actors:raise_"
STALLING = f"{ACTORS},stall_probe:stall"


@pytest.fixture
def hosts(mongo_uri: str, database: Database, logs: Path) -> Iterator[WorkerHosts]:
    made = WorkerHosts(mongo_uri, database.name, ACTORS_FOLDER, logs)
    yield made
    made.kill_all()


async def test_health_tells_named_checks_without_secrets(
    hosts: WorkerHosts,
) -> None:
    host = hosts.start("--actors", ACTORS)
    address = host.wait_for(HEALTH)
    host.wait_for(READY)
    eventually(lambda: failing(address, "/healthz/ready"), set())
    eventually(lambda: ask(address, "/healthz/ready")[1]["checks"]["change_feed"]["detail"], "live")

    live = ask(address, "/healthz/live")
    status, ready = ask(address, "/healthz/ready")
    assert live == (200, {"status": "ok", "checks": {"control_loop": {"ok": True, "detail": "answers"}}})
    assert (status, set(ready["checks"])) == (
        200,
        {"control_loop", "announced", "claiming", "database", "change_feed"},
    )
    assert "mongodb" not in str(ready)


async def test_draining_worker_is_live_not_ready(hosts: WorkerHosts, tasks: Tasks) -> None:
    host = hosts.start("--actors", ACTORS)
    address = host.wait_for(HEALTH)
    task = await tasks.add("probe.work", seconds=6, items=3)
    await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    eventually(lambda: failing(address, "/healthz/ready"), set())
    host.process.terminate()
    eventually(lambda: failing(address, "/healthz/ready"), {"claiming"}, 5)

    assert failing(address, "/healthz/live") == set()
    assert await asyncio.to_thread(host.process.wait, 30) == 0
    assert (await tasks.get(task)).state is TaskState.COMPLETED


async def test_hanging_database_is_not_ready_until_recovery(tmp_path: Path, logs: Path) -> None:
    async with EmbeddedServer(tmp_path / "db", port=0) as server:
        own = Database(server.uri, "health")
        await own.migrate()
        async with own:
            mongod = int((await own.raw.command("serverStatus"))["pid"])
        hosts = WorkerHosts(server.uri, "health", ACTORS_FOLDER, logs)
        try:
            address = hosts.start("--actors", ACTORS).wait_for(HEALTH)
            eventually(lambda: failing(address, "/healthz/ready"), set())
            os.kill(mongod, signal.SIGSTOP)
            after = eventually(lambda: failing(address, "/healthz/ready"), {"database"})
            live = failing(address, "/healthz/live")
            os.kill(mongod, signal.SIGCONT)
            eventually(lambda: failing(address, "/healthz/ready"), set())
        finally:
            os.kill(mongod, signal.SIGCONT)
            hosts.kill_all()

    assert after < DATABASE_LIMIT.total_seconds() + 2
    assert live == set()


async def test_stuck_control_loop_is_told_until_recovery(hosts: WorkerHosts) -> None:
    host = hosts.start("--actors", STALLING)
    address = host.wait_for(HEALTH)
    host.wait_for(READY)
    eventually(lambda: failing(address, "/healthz/ready"), set())
    host.process.send_signal(signal.SIGUSR1)
    after = eventually(lambda: failing(address, "/healthz/live"), {"control_loop"}, 8.5)
    lag = value(address, "appworker_event_loop_lag_current_seconds")
    back = eventually(lambda: failing(address, "/healthz/live"), set(), 20)

    assert after > LOOP_LIMIT.total_seconds() - 1
    assert lag > LOOP_LIMIT.total_seconds()
    assert back > 1
    slow = value(address, "appworker_event_loop_lag_seconds_bucket", {"le": "+Inf"}) - value(
        address, "appworker_event_loop_lag_seconds_bucket", {"le": "5.0"}
    )
    assert slow == 1
    host.check()


async def test_blocked_actor_loop_shows_in_metrics(hosts: WorkerHosts, tasks: Tasks) -> None:
    host = hosts.start("--actors", "probe_actors:block")
    address = await asyncio.to_thread(host.wait_for, HEALTH)
    task = await tasks.add("probe.block", seconds=2)
    seen = lambda: value(address, "appworker_actor_loop_blocked_seconds") > 0.5  # noqa: E731
    await asyncio.to_thread(eventually, seen, wanted=True)
    await tasks.final(task)
    await asyncio.to_thread(eventually, lambda: value(address, "appworker_actor_loop_blocked_seconds"), 0)


async def test_metrics_tell_runs_and_endings(hosts: WorkerHosts, tasks: Tasks) -> None:
    host = hosts.start("--actors", ACTORS, "--slots", "3")
    address = host.wait_for(HEALTH)
    host.wait_for(READY)

    def ended(actor: str, outcome: str) -> float:
        return value(address, "appworker_run_seconds_count", {"actor": actor, "outcome": outcome})

    added = [await tasks.add("probe.noop", ledger=os.devnull) for _ in range(3)] + [await tasks.add("probe.raise")]
    for task in added:
        await tasks.final(task)
    cancelled = await tasks.add("probe.work", seconds=20, items=200)
    eventually(lambda: value(address, "appworker_running"), 1)
    leases = value(address, "appworker_leases")
    await tasks.queue.cancel(cancelled.id, owner_id=OWNER)
    eventually(lambda: value(address, "appworker_running"), 0)

    assert leases == 1
    assert value(address, "appworker_slots") == 3
    assert value(address, "appworker_leases") == 0
    assert value(address, "appworker_feed_live") == 1
    assert value(address, "appworker_claimed_total") == 3 + 3 + 1
    assert value(address, "appworker_claim_seconds_count") > 0
    assert value(address, "appworker_queue_wait_seconds_count", {"queue": "default"}) == 3 + 3 + 1
    assert ended("probe.noop", "completed") == 3
    assert (ended("probe.raise", "retrying"), ended("probe.raise", "failed")) == (2, 1)
    assert value(address, "appworker_retries_total", {"actor": "probe.raise"}) == 2
    assert ended("probe.work", "cancelled") == 1
    assert value(address, "appworker_lost_leases_total") == 0
    assert value(address, "appworker_event_loop_lag_seconds_count") > 0
    assert value(address, "process_resident_memory_bytes") > 10 * 2**20


async def test_lease_lost_while_frozen_is_counted(hosts: WorkerHosts, tasks: Tasks, database: Database) -> None:
    both = [hosts.start("--actors", ACTORS) for _ in range(2)]
    for host in both:
        host.wait_for(READY)
    task = await tasks.add("probe.work", seconds=4, items=8)
    held = await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    assert held.lease is not None
    pids = {worker.id: worker.pid for worker in await RegistryRepository(database).workers()}
    (frozen,) = [host for host in both if host.process.pid == pids[held.lease.worker_id]]
    frozen.process.send_signal(signal.SIGSTOP)
    await tasks.until(task, lambda found: found.attempt == 2)
    frozen.process.send_signal(signal.SIGCONT)
    await tasks.final(task)
    address = frozen.wait_for(HEALTH)
    eventually(lambda: value(address, "appworker_lost_leases_total"), 1)

    labels = {"actor": "probe.work", "outcome": "lost"}
    assert value(address, "appworker_run_seconds_count", labels) == 1


def test_taken_health_port_error_names_setting(hosts: WorkerHosts) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = hosts.run("--actors", ACTORS, APPWORKER_HEALTH_PORT=str(port))

    assert ended.returncode == 1
    assert f"port {port}" in ended.stderr
    assert "APPWORKER_HEALTH_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_health_check_command_answers_by_exit_code(hosts: WorkerHosts, tasks: Tasks) -> None:
    port = str(free_port())
    nobody = await asyncio.to_thread(hosts.run, "--check-health", APPWORKER_HEALTH_PORT=port)
    host = hosts.start("--actors", ACTORS, APPWORKER_HEALTH_PORT=port)
    host.wait_for(READY)
    task = await tasks.add("probe.work", seconds=15, items=100)
    await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    ready = await asyncio.to_thread(hosts.run, "--check-health", "ready", APPWORKER_HEALTH_PORT=port)
    host.process.terminate()
    eventually(lambda: failing(f"http://127.0.0.1:{port}", "/healthz/ready"), {"claiming"})
    live = await asyncio.to_thread(hosts.run, "--check-health", APPWORKER_HEALTH_PORT=port)
    drains = await asyncio.to_thread(hosts.run, "--check-health", "ready", APPWORKER_HEALTH_PORT=port)

    assert (nobody.returncode, f"no worker answers at 127.0.0.1 port {port}" in nobody.stderr) == (1, True)
    assert (ready.returncode, ready.stdout) == (0, f"ready at 127.0.0.1, port {port}\n")
    assert live.returncode == 0
    assert (drains.returncode, "claiming: draining" in drains.stderr) == (1, True)
    assert "Traceback" not in nobody.stderr + drains.stderr


def test_health_check_without_port_names_setting(hosts: WorkerHosts) -> None:
    ended = hosts.run("--check-health")

    assert (ended.returncode, "set APPWORKER_HEALTH_PORT" in ended.stderr) == (1, True)


async def test_silent_killed_worker_disappears_after_30_seconds(hosts: WorkerHosts, database: Database) -> None:
    registry = RegistryRepository(database)
    host = hosts.start("--actors", ACTORS)
    host.wait_for(READY)
    host.process.kill()
    host.process.wait()

    async def after(seconds: float) -> int:
        seen = {"$subtract": ["$$NOW", int(1000 * seconds)]}
        await database.collection("workers").update_many({}, [{"$set": {"seen_at": seen}}])
        return len(await registry.workers())

    assert len(await registry.workers()) == 1
    assert await after(20) == 1
    assert await after(31) == 0
    assert (await registry.actor("probe.noop")).queue == "default"


async def test_worker_announces_working_providers(hosts: WorkerHosts, database: Database) -> None:
    hosts.start("--actors", ACTORS).wait_for(READY)
    (worker,) = await RegistryRepository(database).workers()

    assert "drawn-cards" in worker.providers
    assert worker.providers == sorted(set(worker.providers))


async def test_older_worker_is_listed_without_providers(database: Database) -> None:
    old = {"host": "h", "pid": 1, "queues": [], "actors": [], "slots": 1}
    times = {"started_at": "$$NOW", "seen_at": "$$NOW"}
    await database.collection("workers").update_one({"_id": "wrk_old"}, [{"$set": old | times}], upsert=True)
    (worker,) = await RegistryRepository(database).workers()

    assert worker.providers == []
    assert time.time() - worker.seen_at.timestamp() < 60
