"""The primary is killed, steps down, or freezes, under load."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from appdb import Database, TaskQueue, TaskState
from appsupport.faults.acknowledged_writes import Acknowledged
from appsupport.faults.fault_bounds import LONGEST_CALL_SECONDS, NOISE_SECONDS, QUICK_ELECTION, ROUNDS
from appsupport.faults.replica_set_workers import StartWorker
from appsupport.hosts.live_tasks import Tasks
from appsupport.mongo.replica_set import SERVER_ELECTION, ReplicaSet
from appsupport.queue.queue_load import QueueLoad

PROGRESS = 20
SEEN_BY_USERS = ("enqueue", "page")
STEP_DOWNS = 3
STEPS = 20


@pytest.mark.timeout(120 + ROUNDS * 60)
@pytest.mark.parametrize(
    ("election", "back_within"),
    [
        pytest.param(QUICK_ELECTION, 4, id="election-2s", marks=pytest.mark.short),
        pytest.param(SERVER_ELECTION, 12, id="election-10s"),
    ],
)
async def test_killed_primary_loses_no_acknowledged_write(
    three_nodes: ReplicaSet, replica_set_database: Database, election: timedelta, back_within: float
) -> None:
    await asyncio.to_thread(three_nodes.set_election, election)
    backs = []
    async with QueueLoad(TaskQueue(replica_set_database)) as load:
        for _ in range(ROUNDS):
            primary = await asyncio.to_thread(three_nodes.primary)
            await asyncio.to_thread(three_nodes.kill, primary)
            killed_at = time.monotonic()
            await load.until_acknowledged(PROGRESS)
            backs.append(load.writes_back_after(killed_at))
            await asyncio.to_thread(three_nodes.mend)
            await load.until_acknowledged(PROGRESS)
    print(f"writes back after {backs}; {load.summary()}")  # noqa: T201 - shown on failure, or with -s

    await load.record.check(replica_set_database)
    unanswered = 0 if three_nodes.host_outlives_node else election.total_seconds()
    assert max(backs) <= back_within + unanswered + NOISE_SECONDS
    assert load.slowest.seconds <= LONGEST_CALL_SECONDS + NOISE_SECONDS
    assert load.lost_leases == 0
    if election < timedelta(seconds=LONGEST_CALL_SECONDS):
        assert not load.problems().keys() & set(SEEN_BY_USERS)


@pytest.mark.timeout(240 + ROUNDS * 60)
async def test_repeated_step_downs_reach_no_user(three_nodes: ReplicaSet, replica_set_database: Database) -> None:
    await asyncio.to_thread(three_nodes.set_election, SERVER_ELECTION)
    async with QueueLoad(TaskQueue(replica_set_database)) as load:
        for _ in range(STEP_DOWNS * ROUNDS):
            await asyncio.to_thread(three_nodes.step_down)
            await load.until_acknowledged(PROGRESS)
            await asyncio.to_thread(three_nodes.wait_until_whole)
    print(load.summary())  # noqa: T201 - shown on failure, or with -s

    await load.record.check(replica_set_database)
    assert not load.problems().keys() & set(SEEN_BY_USERS)
    assert load.slowest.seconds <= LONGEST_CALL_SECONDS + NOISE_SECONDS
    assert load.lost_leases == 0


@pytest.mark.timeout(240)
async def test_frozen_primary_holds_callers_within_timeout(
    three_nodes: ReplicaSet, replica_set_database: Database
) -> None:
    await asyncio.to_thread(three_nodes.set_election, SERVER_ELECTION)
    async with QueueLoad(TaskQueue(replica_set_database)) as load:
        primary = await asyncio.to_thread(three_nodes.primary)
        three_nodes.freeze(primary)
        frozen_at = time.monotonic()
        await asyncio.sleep(25)
        three_nodes.thaw(primary)
        await load.until_acknowledged(PROGRESS)
    print(f"writes back after {load.writes_back_after(frozen_at)}; {load.summary()}")  # noqa: T201 - as above

    await load.record.check(replica_set_database)
    assert load.slowest.seconds <= LONGEST_CALL_SECONDS + NOISE_SECONDS
    assert load.lost_leases == 0


@pytest.mark.timeout(240)
async def test_election_costs_no_lease(
    three_nodes: ReplicaSet, replica_set_database: Database, start_replica_set_worker: StartWorker
) -> None:
    await asyncio.to_thread(three_nodes.set_election, QUICK_ELECTION)
    await asyncio.to_thread(start_replica_set_worker)
    tasks = Tasks(replica_set_database)
    running = [await tasks.add("steady", seconds=15) for _ in range(4)]
    for task in running:
        await tasks.until(task, lambda found: found.event_count > 1)
    await asyncio.to_thread(three_nodes.kill, await asyncio.to_thread(three_nodes.primary))
    await asyncio.to_thread(three_nodes.primary)
    done = [await tasks.final(task, 90) for task in running]

    await Acknowledged().check(replica_set_database)
    assert {(task.state, task.attempt) for task in done} == {(TaskState.COMPLETED, 1)}
    assert {task.result["steps"] for task in done if task.result} == {STEPS}
