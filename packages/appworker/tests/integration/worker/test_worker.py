"""Worker processes against a real database: they race, are killed, blocked and told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from appdb import ContentRepository, Database, RegistryRepository, TaskEventType, TaskState
from appdb.models import GenerationStatus
from appsupport.hosts.live_tasks import LEASE_SECONDS, OWNER, StartWorker, Tasks


async def types_of(tasks: Tasks, task_id: str) -> list[TaskEventType]:
    events = await tasks.queue.events(task_id, limit=10_000)
    assert [event.seq for event in events] == list(range(len(events)))
    return [event.type for event in events]


async def holder_pid(database: Database, tasks: Tasks, task_id: str) -> int:
    task = await tasks.queue.get(task_id, owner_id=OWNER)
    assert task.lease is not None
    workers = {worker.id: worker.pid for worker in await RegistryRepository(database).workers()}
    return workers[task.lease.worker_id]


async def test_two_workers_run_500_tasks_once(start_worker: StartWorker, tasks: Tasks, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    # Nothing dies here, so no lease may end: on a busy disk a claim alone can take two seconds.
    start_worker(slots=8, APPWORKER_LEASE="30", APPWORKER_HEARTBEAT="5")
    start_worker(slots=8, APPWORKER_LEASE="30", APPWORKER_HEARTBEAT="5")
    added = await asyncio.gather(*(tasks.add("probe.noop", ledger=str(ledger)) for _ in range(500)))
    final = [await tasks.final(task, 90) for task in added]

    assert Counter(task.state for task in final) == {TaskState.COMPLETED: 500}
    runs = Counter(line.split()[0] for line in ledger.read_text().splitlines())
    assert runs == {task.id: 1 for task in added}
    holders: Counter[str] = Counter()
    for task in added:
        # Where the machine is slow for a moment, one may be claimed ahead and handed back, uncounted, before it runs.
        log = [event for event in await tasks.queue.events(task.id) if event.type is not TaskEventType.RELEASED]
        assert [event.type for event in log] == [TaskEventType.STARTED, TaskEventType.COMPLETED]
        assert log[0].attempt == 1
        holders[log[0].data["worker_id"]] += 1
    assert len(holders) == 2


async def test_killed_workers_task_is_finished_once_elsewhere(
    start_worker: StartWorker, tasks: Tasks, database: Database
) -> None:
    hosts = {host.process.pid: host for host in (start_worker(), start_worker())}
    task = await tasks.add("probe.work", seconds=2, items=8)
    await tasks.until(task, lambda found: (found.progress.fraction if found.progress else 0) > 0.3)
    hosts[await holder_pid(database, tasks, task.id)].process.send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    done = await tasks.final(task)

    assert (done.state, done.attempt, done.result) == (TaskState.COMPLETED, 2, {"items": 8})
    # A lease, at most five seconds until the sweep, and the run itself.
    assert time.monotonic() - killed_at < LEASE_SECONDS + 6 + 3
    contents = await ContentRepository(database).list_for_task(task.id, owner_id=OWNER)
    assert [content.index for content in contents] == list(range(8))
    assert await database.collection("media.files").count_documents({"metadata.task_id": task.id}) >= 8
    assert (await types_of(tasks, task.id)).count(TaskEventType.RETRYING) == 1


async def test_frozen_worker_without_lease_cannot_write(
    start_worker: StartWorker, tasks: Tasks, database: Database
) -> None:
    hosts = {host.process.pid: host for host in (start_worker(), start_worker())}
    task = await tasks.add("probe.work", seconds=3, items=12)
    await tasks.until(task, lambda found: (found.progress.fraction if found.progress else 0) > 0.2)
    zombie = hosts[await holder_pid(database, tasks, task.id)]
    zombie.process.send_signal(signal.SIGSTOP)
    await tasks.until(task, lambda found: found.attempt == 2)
    zombie.process.send_signal(signal.SIGCONT)
    done = await tasks.final(task)
    events = await tasks.queue.events(task.id, limit=10_000)

    assert (done.state, done.attempt) == (TaskState.COMPLETED, 2)
    second = next(event.seq for event in events if event.type is TaskEventType.STARTED and event.attempt == 2)
    assert {event.attempt for event in events[second:]} == {2}
    assert {
        content.attempt for content in await ContentRepository(database).list_for_task(task.id, owner_id=OWNER)
    } == {2}
    # The thawed worker has noticed, and works on.
    again = [await tasks.add("probe.work", seconds=1, items=1) for _ in range(8)]
    assert {(await tasks.final(found)).state for found in again} == {TaskState.COMPLETED}


@pytest.mark.parametrize("actor", ["probe.work", "probe.block", "probe.burn"])
async def test_cancel_reaches_running_actor_within_second(
    start_worker: StartWorker, tasks: Tasks, database: Database, actor: str
) -> None:
    host = start_worker(slots=1)
    task = await tasks.add(actor, seconds=20 if actor == "probe.work" else 4, items=100)
    await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    await asyncio.sleep(0.3)
    await tasks.queue.cancel(task.id, owner_id=OWNER)
    cancelled_at = time.monotonic()
    if actor == "probe.work":
        # Its only slot is free again as soon as the actor has stopped.
        following = await tasks.add("probe.chunks", items=1)
        await tasks.final(following, 5)
        assert time.monotonic() - cancelled_at < 1.5
    host.stop()

    final = await tasks.get(task)
    assert final.state is TaskState.CANCELLED
    assert (await types_of(tasks, task.id))[-1] is TaskEventType.CANCELLED
    if actor == "probe.work":
        generation = await ContentRepository(database).generation(task.id, owner_id=OWNER)
        assert generation.status is GenerationStatus.CANCELLED


@pytest.mark.parametrize("actor", ["probe.block", "probe.burn"])
async def test_actor_blocking_its_thread_keeps_lease(start_worker: StartWorker, tasks: Tasks, actor: str) -> None:
    start_worker()
    start_worker()
    task = await tasks.add(actor, seconds=2.5 * LEASE_SECONDS)
    done = await tasks.final(task)

    assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)


async def test_drain_finishes_running_and_claims_nothing(start_worker: StartWorker, tasks: Tasks) -> None:
    host = start_worker(slots=1)
    running = await tasks.add("probe.work", seconds=1.5, items=3)
    await tasks.until(running, lambda found: found.state is TaskState.PROCESSING)
    waiting = await tasks.add("probe.work", items=1)
    host.process.terminate()
    code = await asyncio.to_thread(host.process.wait, 20)

    assert code == 0
    assert (await tasks.get(running)).state is TaskState.COMPLETED
    assert (await tasks.get(waiting)).state is TaskState.QUEUED


@pytest.mark.parametrize("actor", ["probe.work", "probe.block"])
async def test_unfinished_task_is_released_uncounted(start_worker: StartWorker, tasks: Tasks, actor: str) -> None:
    host = start_worker(slots=1, APPWORKER_DRAIN="0.2")
    task = await tasks.add(actor, seconds=15, items=100)
    await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    host.process.terminate()
    code = await asyncio.to_thread(host.process.wait, 15)
    handed_back = await tasks.get(task)

    assert code == 0
    assert (handed_back.state, handed_back.attempt) == (TaskState.QUEUED, 0)
    assert (await types_of(tasks, task.id))[-1] is TaskEventType.RELEASED


async def test_signal_just_after_claim_is_heeded(start_worker: StartWorker, tasks: Tasks) -> None:
    host = start_worker(slots=1, APPWORKER_DRAIN="0.2")
    task = await tasks.add("probe.leave", seconds=40)

    assert await asyncio.to_thread(host.process.wait, 20) == 0
    assert (await tasks.get(task)).state is TaskState.QUEUED


async def test_second_signal_releases_at_once(start_worker: StartWorker, tasks: Tasks) -> None:
    host = start_worker(slots=1)
    task = await tasks.add("probe.work", seconds=20, items=200)
    await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    host.process.terminate()
    await asyncio.sleep(0.3)
    host.process.terminate()
    await asyncio.to_thread(host.process.wait, 5)

    assert (await tasks.get(task)).state is TaskState.QUEUED


@pytest.mark.parametrize(
    ("actor", "attempts", "kind", "message"),
    [
        ("probe.raise", 3, "RuntimeError", "broken on purpose"),
        ("probe.exit", 3, "SystemExit", "3"),
        ("probe.discard", 1, "Discarded", "can never work"),
        ("probe.huge", 1, "TooLargeError", "over the limit"),
        ("probe.slow", 3, "Timeout", "out of time"),
    ],
)
async def test_bad_actor_ends_only_its_task(
    start_worker: StartWorker, tasks: Tasks, actor: str, attempts: int, kind: str, message: str
) -> None:
    host = start_worker()
    task = await tasks.add(actor, seconds=10)
    neighbour = await tasks.add("probe.work", seconds=0.5, items=2)
    failed = await tasks.final(task)

    assert failed.error is not None
    assert (failed.state, failed.attempt, failed.error.type) == (TaskState.FAILED, attempts, kind)
    assert message in failed.error.message
    assert (await tasks.final(neighbour)).state is TaskState.COMPLETED
    host.check()


async def test_invalid_payload_is_not_retried(start_worker: StartWorker, tasks: Tasks) -> None:
    start_worker()
    failed = await tasks.final(await tasks.add("probe.work", seconds="soon"))

    assert failed.error is not None
    assert (failed.attempt, failed.error.type) == (1, "InvalidPayload")
    assert failed.error.message.startswith("seconds:")


async def test_many_chunks_arrive_in_order(start_worker: StartWorker, tasks: Tasks) -> None:
    start_worker()
    task = await tasks.add("probe.chunks", items=5_000)
    await tasks.final(task)
    events = await tasks.queue.events(task.id, limit=10_000)
    batches = [event.data["chunks"] for event in events if event.type is TaskEventType.CHUNK]
    numbers = [chunk["n"] for batch in batches for chunk in batch]

    assert numbers == list(range(5_000))
    assert len(batches) < 500
    assert [event.seq for event in events] == list(range(len(events)))


async def test_worker_announces_actors_with_schemas(start_worker: StartWorker, database: Database) -> None:
    host = start_worker()
    registry = RegistryRepository(database)
    async with asyncio.timeout(10):
        while not await registry.workers():
            await asyncio.sleep(0.05)
    actor = await registry.actor("probe.work")
    host.stop()

    assert actor.payload_schema["properties"]["seconds"]["type"] == "number"
    assert await registry.workers() == []


async def test_worker_polls_promptly_without_change_streams(
    start_worker: StartWorker, tasks: Tasks, database: Database
) -> None:
    # The only aggregate over the whole database is the change stream: this takes the feed away and nothing else.
    data = {"failCommands": ["aggregate"], "errorCode": 286, "namespace": f"{database.name}.$cmd.aggregate"}
    admin = database.raw.client.admin
    await admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
    try:
        host = start_worker(slots=1)
        waits = []
        for _ in range(5):
            task = await tasks.add("probe.noop", ledger=os.devnull)
            added_at = time.monotonic()
            await tasks.final(task, 5)
            waits.append(time.monotonic() - added_at)
        running = await tasks.add("probe.work", seconds=20, items=200)
        await tasks.until(running, lambda found: found.state is TaskState.PROCESSING)
        await tasks.queue.cancel(running.id, owner_id=OWNER)
        cancelled_at = time.monotonic()
        await asyncio.to_thread(host.wait_for, '"event": "(an attempt was stopped)"')
    finally:
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    assert max(waits) < 1.5
    assert time.monotonic() - cancelled_at < 1.5
    assert "the change feed was interrupted" in host.log.read_text()


async def test_worker_reannounces_itself_in_emptied_database(start_worker: StartWorker, database: Database) -> None:
    start_worker()
    registry = RegistryRepository(database)
    for name in ("workers", "actors"):
        await database.collection(name).delete_many({})
    async with asyncio.timeout(30):
        while not (known := await registry.workers()) or not await registry.actors():
            await asyncio.sleep(0.2)

    assert (await registry.actor("probe.work")).version == 1
    assert len(known) == 1
