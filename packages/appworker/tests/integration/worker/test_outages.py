"""Outages: workers whose database fails for a while, that restart, or whose actors fail oddly."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from appdb import Database, NewTask, TaskEventType, TaskState
from appdb.host import app_name_of
from appsupport.hosts.live_tasks import OWNER, StartWorker, Tasks
from appsupport.mongo.fail_points import fail_point
from appworker._version import __version__

APP = f"appworker/{__version__}"
LONG_LEASE = {"APPWORKER_LEASE": "12", "APPWORKER_HEARTBEAT": "0.4"}
EXCEEDED_TIME_LIMIT = 262
"""An error that leaves the connection as it is: a driver that lost its server would look for it, for longer."""
SLOTS = 12
"""More than the threads of an event loop's own pool on a machine with few cores."""
WRITES = {"$or": [{"op": {"$in": ["insert", "update", "remove"]}}, {"command.findAndModify": {"$exists": True}}]}


async def reporting(tasks: Tasks, seconds: float) -> Any:
    """Return a task whose actor reports progress, and has begun to."""
    task = await tasks.add("probe.report", seconds=seconds, items=int(seconds * 20))
    await tasks.until(task, lambda found: found.progress is not None)
    return task


async def test_write_outage_ends_no_heartbeat_or_attempt(
    start_worker: StartWorker, tasks: Tasks, database: Database
) -> None:
    host = start_worker(slots=1, **LONG_LEASE)
    task = await reporting(tasks, 5)
    async with fail_point(database, app_name_of(APP, database.name), ["update"], errorCode=EXCEEDED_TIME_LIMIT):
        told = '"event": "(leases could not be renewed; trying again)"'
        await asyncio.to_thread(host.wait_for, told)
        await asyncio.to_thread(host.wait_for, '"event": "(a write found no database and is repeated)"')
        before = (await tasks.get(task)).progress
    done = await tasks.final(task)
    events = await tasks.queue.events(task.id, limit=10_000)
    shares = [event.data["fraction"] for event in events if event.type is TaskEventType.PROGRESS]

    assert (done.state, done.attempt, done.errors) == (TaskState.COMPLETED, 1, [])
    assert before is not None
    assert max(shares) > before.fraction
    assert shares == sorted(shares)
    assert [event.seq for event in events] == list(range(len(events)))


async def test_slow_database_keeps_no_actor_waiting(
    start_worker: StartWorker, tasks: Tasks, database: Database
) -> None:
    start_worker(slots=1, **LONG_LEASE)
    task = await reporting(tasks, 5)
    commands = ["find", "update", "aggregate", "findAndModify"]
    async with fail_point(
        database, app_name_of(APP, database.name), commands, blockConnection=True, blockTimeMS=2_000
    ) as point:
        await point.met(2)
    done = await tasks.final(task)

    assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)
    assert done.result is not None
    assert done.result["items"] < 1_000


async def test_restarted_worker_takes_up_predecessors_tasks(start_worker: StartWorker, tasks: Tasks) -> None:
    first = start_worker(slots=1)
    task = await tasks.add("probe.work", seconds=2, items=8)
    await tasks.until(task, lambda found: found.progress is not None)
    first.process.kill()
    start_worker(slots=1)
    done = await tasks.final(task)

    assert (done.state, done.attempt) == (TaskState.COMPLETED, 2)
    assert [error.type for error in done.errors] == ["LeaseExpired"]


async def test_worker_holds_only_running_tasks(start_worker: StartWorker, tasks: Tasks, tmp_path: Path) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "ledger.open"
    added = [await tasks.add("probe.gate", ledger=str(ledger)) for _ in range(SLOTS + 4)]
    start_worker(slots=SLOTS, **LONG_LEASE)
    async with asyncio.timeout(30):
        while not ledger.exists() or len(ledger.read_text().splitlines()) < SLOTS:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    states = [(await tasks.get(task)).state for task in added]
    begun = {line.split()[0] for line in ledger.read_text().splitlines()}
    gate.touch()
    done = [await tasks.final(task) for task in added]

    held = {task.id for task, state in zip(added, states, strict=True) if state is TaskState.PROCESSING}
    assert held == begun
    assert len(held) == SLOTS
    assert {(task.state, task.attempt) for task in done} == {(TaskState.COMPLETED, 1)}


async def test_worker_without_matching_actors_writes_nothing(
    start_worker: StartWorker, tasks: Tasks, database: Database
) -> None:
    new = NewTask(owner_id=OWNER, actor="nobody", payload={})
    await tasks.queue.enqueue_many([new] * 20)
    await tasks.queue.enqueue(NewTask(owner_id=OWNER, actor="probe.noop", payload={}, delay=timedelta(hours=1)))
    host = start_worker(slots=2)
    before = await database.collection("tasks").find().sort("_id", 1).to_list(None)
    await asyncio.sleep(1)  # it looks at first, and again when its feed begins
    await database.raw.command("profile", 2)
    await asyncio.sleep(6)  # longer than any pause of a worker between two looks
    await database.raw.command("profile", 0)
    profile, mine = database.collection("system.profile"), {"appName": app_name_of(APP, database.name)}
    written = await profile.distinct("ns", mine | WRITES)
    host.check()

    assert await profile.count_documents(mine) > 0
    # It announces itself, and forgets limits that nobody uses.
    assert set(written) <= {f"{database.name}.{name}" for name in ("workers", "actors", "limits")}
    assert await database.collection("tasks").find().sort("_id", 1).to_list(None) == before


async def test_unstorable_error_fails_only_its_task(start_worker: StartWorker, tasks: Tasks) -> None:
    host = start_worker(slots=1)
    failed = await tasks.final(await tasks.add("probe.untold"))
    neighbour = await tasks.final(await tasks.add("probe.work", items=1))

    assert failed.error is not None
    assert (failed.state, failed.attempt, failed.error.type) == (TaskState.FAILED, 3, "UntoldError")
    assert neighbour.state is TaskState.COMPLETED
    host.check()
