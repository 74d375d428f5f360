"""The network is cut: the primary with its client alone, a worker alone, and packets that go one way only."""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import UTC, datetime

import pytest

from appdb import Database, RegistryRepository, TaskQueue, TaskState
from appsupport.faults.acknowledged_writes import Acknowledged
from appsupport.faults.fault_bounds import LONGEST_CALL_SECONDS, NOISE_SECONDS
from appsupport.faults.replica_set_workers import StartWorker
from appsupport.hosts.live_tasks import Tasks
from appsupport.mongo.network_namespaces import Way
from appsupport.mongo.replica_set import ReplicaSet
from appsupport.queue.queue_load import QueueLoad

PROGRESS = 20
CUT_SECONDS = 30
IN_FLIGHT_SECONDS = 0.5
LEASE_SECONDS = 6
SWEEP_SECONDS = 6
"""How long until some worker looks for leases that have ended."""
SHORT_LEASE = {"APPWORKER_LEASE": str(LEASE_SECONDS), "APPWORKER_HEARTBEAT": "1"}


@pytest.mark.timeout(240)
async def test_isolated_primary_acknowledges_nothing_lost(
    cuttable: ReplicaSet, replica_set_database: Database, start_replica_set_worker: StartWorker
) -> None:
    place = await asyncio.to_thread(cuttable.client_place)
    await asyncio.to_thread(start_replica_set_worker, *place.inside)
    tasks = Tasks(replica_set_database)
    async with QueueLoad(TaskQueue(replica_set_database)) as load:
        beyond = [await tasks.add("steady", seconds=2) for _ in range(8)]
        primary = await asyncio.to_thread(cuttable.primary)
        await asyncio.to_thread(cuttable.part_with_client, primary)
        await asyncio.to_thread(primary.drop, [place.address], Way.BOTH)
        cut_at = time.monotonic()
        await asyncio.sleep(CUT_SECONDS)
        healed_at = time.monotonic()
        ended = datetime.now(UTC)  # the nodes are on this machine, and so is their clock
        await asyncio.to_thread(cuttable.heal)
        await load.until_acknowledged(PROGRESS)
        await asyncio.to_thread(cuttable.wait_until_whole)
    print(f"writes back {load.writes_back_after(healed_at)} s after the cut; {load.summary()}")  # noqa: T201 - with -s

    await load.record.check(replica_set_database)
    # On the other side of the cut is a majority, so the worker there went on.
    for task in [await tasks.final(task) for task in beyond]:
        assert (task.state, task.attempt) == (TaskState.COMPLETED, 1)
        assert task.finished_at is not None
        assert task.finished_at < ended
    assert load.writes_between(cut_at + IN_FLIGHT_SECONDS, healed_at) == []
    assert load.problems()["enqueue"] > 0
    assert load.slowest.seconds <= LONGEST_CALL_SECONDS + NOISE_SECONDS


@pytest.mark.timeout(240)
@pytest.mark.parametrize("way", [Way.INCOMING, Way.OUTGOING], ids=["deaf", "mute"])
async def test_half_isolated_primary_is_replaced_without_loss(
    cuttable: ReplicaSet, replica_set_database: Database, way: Way
) -> None:
    async with QueueLoad(TaskQueue(replica_set_database)) as load:
        primary = await asyncio.to_thread(cuttable.primary)
        await asyncio.to_thread(cuttable.part, primary, way)
        cut_at = time.monotonic()
        await load.until_acknowledged(PROGRESS)
        replaced = await asyncio.to_thread(cuttable.primary)
        await asyncio.to_thread(cuttable.heal)
        await load.until_acknowledged(PROGRESS)
        await asyncio.to_thread(cuttable.wait_until_whole)
    print(f"writes back {load.writes_back_after(cut_at)} s after the cut; {load.summary()}")  # noqa: T201 - with -s

    await load.record.check(replica_set_database)
    assert replaced is not primary
    assert load.lost_leases == 0


@pytest.mark.timeout(240)
async def test_isolated_worker_loses_tasks_and_stops_writing(
    cuttable: ReplicaSet, replica_set_database: Database, start_replica_set_worker: StartWorker
) -> None:
    place = await asyncio.to_thread(cuttable.client_place)
    cut_off = await asyncio.to_thread(start_replica_set_worker, *place.inside, **SHORT_LEASE)
    other = await asyncio.to_thread(start_replica_set_worker, **SHORT_LEASE)
    other.process.send_signal(signal.SIGSTOP)
    tasks = Tasks(replica_set_database)
    held = [await tasks.add("steady", seconds=5) for _ in range(3)]
    for task in held:
        await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    await asyncio.to_thread(place.unplug)
    other.process.send_signal(signal.SIGCONT)
    for task in held:
        await tasks.until(task, lambda found: found.attempt == 2, LEASE_SECONDS + SWEEP_SECONDS + NOISE_SECONDS)
    await asyncio.to_thread(place.plug_in)
    done = [await tasks.final(task, 60) for task in held]

    await Acknowledged().check(replica_set_database)
    assert {(task.state, task.attempt) for task in done} == {(TaskState.COMPLETED, 2)}
    # It works on, unaided.
    cut_off.check()
    (cut_off_id,) = {
        w.id for w in await RegistryRepository(replica_set_database).workers() if w.pid == cut_off.process.pid
    }
    again = [await tasks.add("steady", seconds=2) for _ in range(8)]
    finished = [await tasks.final(task, 60) for task in again]
    assert {task.state for task in finished} == {TaskState.COMPLETED}
    starts = [(await tasks.queue.events(task.id))[0].data["worker_id"] for task in again]
    assert cut_off_id in starts
