"""Workers whose wall clock is wrong by five minutes, both ways."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from appdb import Database, NewTask, RegistryRepository, Task, TaskEventType, TaskQueue, TaskState
from appsupport.faults.acknowledged_writes import Acknowledged
from appsupport.faults.replica_set_workers import StartWorker
from appsupport.hosts.live_tasks import OWNER, Tasks

LEASE_SECONDS = 6
DELAY = timedelta(seconds=5)
SKEWS = (timedelta(seconds=300), timedelta(seconds=-300))
PRECISION = timedelta(seconds=1)
TOLERANCE = timedelta(seconds=60)


def wrong_clock(skew: timedelta) -> dict[str, str]:
    """Return the environment of a process that is to see its wall clock off by *skew*."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("NO CLOCK CAN BE MADE WRONG HERE: there is no libfaketime (Debian: `apt-get install faketime`)")
    here = Path(__file__).parent
    folders = [str(here / "wrong_clock"), str(here), os.environ.get("PYTHONPATH", "")]
    preload = {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME": f"{skew.total_seconds():+.0f}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return preload | {"PYTHONPATH": os.pathsep.join(folders)}


@pytest.mark.timeout(240)
async def test_wrong_worker_clocks_change_no_lease_or_time(
    replica_set_database: Database, start_replica_set_worker: StartWorker
) -> None:
    tasks = Tasks(replica_set_database)
    short = {"APPWORKER_LEASE": str(LEASE_SECONDS), "APPWORKER_HEARTBEAT": "1"}
    clocks = [wrong_clock(skew) for skew in SKEWS]
    began = await replica_set_database.server_time()
    wrong = [await asyncio.to_thread(start_replica_set_worker, **short, **clock) for clock in clocks]
    await asyncio.to_thread(start_replica_set_worker, **short)
    long = [await tasks.add("steady", seconds=LEASE_SECONDS * 2) for _ in range(6)]
    brief = [await tasks.add("steady", seconds=0.4) for _ in range(40)]
    delayed = [await _add_delayed(tasks.queue) for _ in range(6)]
    done = [await tasks.final(task, 120) for task in (*long, *brief, *delayed)]
    ended = await replica_set_database.server_time()

    await Acknowledged().check(replica_set_database)
    assert {(task.state, task.attempt) for task in done} == {(TaskState.COMPLETED, 1)}
    for task in done:
        await _check_times(tasks.queue, task, began - PRECISION, ended + PRECISION)
    for task in done[-len(delayed) :]:
        assert task.started_at is not None
        assert task.started_at >= task.run_at >= task.created_at + DELAY
    known = {worker.id: worker.pid for worker in await RegistryRepository(replica_set_database).workers()}
    holders = {known[worker_id] for worker_id in await _holders(tasks.queue, done)}
    assert holders >= {host.process.pid for host in wrong}
    for host, skew in zip(wrong, SKEWS, strict=True):
        said = datetime.fromisoformat(host.wait_for(r'"event": "ready".*"timestamp": "([^"]+)"'))
        assert abs(said - began - skew) < TOLERANCE
        assert "Exception in thread" not in host.log.read_text()


async def _add_delayed(queue: TaskQueue) -> Task:
    return await queue.enqueue(NewTask(owner_id=OWNER, actor="steady", payload={"seconds": 0.1}, delay=DELAY))


async def _check_times(queue: TaskQueue, task: Task, began: datetime, ended: datetime) -> None:
    assert task.started_at is not None
    assert task.finished_at is not None
    moments = [task.created_at, task.started_at, *(event.at for event in await queue.events(task.id)), task.finished_at]
    assert began <= moments[0]
    assert moments[-1] <= ended
    assert moments == sorted(moments)


async def _holders(queue: TaskQueue, done: Sequence[Task]) -> set[str]:
    logs = [await queue.events(task.id) for task in done]
    return {event.data["worker_id"] for log in logs for event in log if event.type is TaskEventType.STARTED}
