"""Worker processes whose actors run on the shared loop, in threads and in processes of their own."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from appdb import ContentRepository, Database, Task, TaskEventType, TaskState
from appsupport.hosts.live_tasks import OWNER, StartWorker, Tasks
from appsupport.hosts.process_status import until_gone


async def reported_pid(tasks: Tasks, task: Task) -> int:
    found = await tasks.until(task, lambda found: found.progress is not None, 60)
    assert found.progress is not None
    return int(found.progress.message)


@pytest.mark.parametrize("actor", ["probe.thread", "probe.process"])
async def test_plain_function_stores_reports_and_returns(
    start_worker: StartWorker, tasks: Tasks, database: Database, actor: str
) -> None:
    start_worker()
    added = [await tasks.add(actor, items=4) for _ in range(3)]
    final = [await tasks.final(task, 60) for task in added]

    assert {(task.state, task.attempt) for task in final} == {(TaskState.COMPLETED, 1)}
    for task in final:
        assert task.result == {"items": 4}
        assert (task.progress.fraction if task.progress else 0) == 1
        events = await tasks.queue.events(task.id)
        assert [event.seq for event in events] == list(range(len(events)))
        assert TaskEventType.CHUNK in {event.type for event in events}
        contents = await ContentRepository(database).list_for_task(task.id, owner_id=OWNER)
        assert [content.index for content in contents] == list(range(4))


async def test_blocked_shared_loop_allows_new_tasks(start_worker: StartWorker, tasks: Tasks) -> None:
    start_worker(slots=4)
    blocking = await tasks.add("probe.block", seconds=15)
    await tasks.until(blocking, lambda found: found.state is TaskState.PROCESSING)
    others = [await tasks.add("probe.chunks", items=1) for _ in range(12)]
    final = [await tasks.final(task, 12) for task in others]

    assert {task.state for task in final} == {TaskState.COMPLETED}
    assert (await tasks.get(blocking)).state is TaskState.PROCESSING
    assert (await tasks.final(blocking)).state is TaskState.COMPLETED


async def test_unresponsive_cancelled_process_is_killed(start_worker: StartWorker, tasks: Tasks) -> None:
    start_worker(slots=1)
    task = await tasks.add("probe.deaf", seconds=600)
    pid = await reported_pid(tasks, task)
    await tasks.queue.cancel(task.id, owner_id=OWNER)
    following = await tasks.add("probe.chunks", items=1)
    done = await tasks.final(following, 30)

    assert done.state is TaskState.COMPLETED
    assert (await tasks.get(task)).state is TaskState.CANCELLED
    await until_gone(pid, seconds=1)


async def test_killed_workers_processes_die_and_task_continues(start_worker: StartWorker, tasks: Tasks) -> None:
    first = start_worker()
    task = await tasks.add("probe.deaf", seconds=600)
    pid = await reported_pid(tasks, task)
    start_worker()
    first.process.send_signal(signal.SIGKILL)
    await until_gone(pid, seconds=10)
    done = await tasks.final(task, 60)

    assert (done.state, done.attempt) == (TaskState.COMPLETED, 2)


async def test_process_over_grace_is_released_uncounted(start_worker: StartWorker, tasks: Tasks) -> None:
    host = start_worker(slots=1, APPWORKER_DRAIN="0.2")
    task = await tasks.add("probe.deaf", seconds=600)
    pid = await reported_pid(tasks, task)
    host.process.terminate()
    code = await asyncio.to_thread(host.process.wait, 30)
    handed_back = await tasks.get(task)

    assert code == 0
    assert (handed_back.state, handed_back.attempt) == (TaskState.QUEUED, 0)
    await until_gone(pid, seconds=5)


async def test_actor_sets_time_of_next_attempt(start_worker: StartWorker, tasks: Tasks) -> None:
    start_worker()
    added_at = time.monotonic()
    task = await tasks.add("probe.later", seconds=2, items=7)
    done = await tasks.final(task, 30)

    # Not at once, and long before the policy's own pause could be expected to end.
    assert time.monotonic() - added_at >= 2
    assert (done.state, done.attempt, done.result) == (TaskState.COMPLETED, 2, {"items": 7})
    assert [(error.type, error.message) for error in done.errors] == [("RetryLater", "the provider is busy")]


@pytest.mark.parametrize("isolation", ["task", "process"])
async def test_stop_during_writes_releases_task(start_worker: StartWorker, tasks: Tasks, isolation: str) -> None:
    actor = {"task": "probe.work", "process": "probe.process"}[isolation]
    host = start_worker(slots=6, APPWORKER_DRAIN="0.1")
    added = [await tasks.add(actor, items=100_000) for _ in range(6)]
    for task in added:
        await tasks.until(task, lambda found: found.progress is not None, 60)
    host.process.terminate()
    await asyncio.to_thread(host.process.wait, 30)

    for task in added:
        handed_back = await tasks.get(task)
        assert (handed_back.state, handed_back.attempt) == (TaskState.QUEUED, 0)
        events = await tasks.queue.events(task.id, limit=100_000)
        assert [event.seq for event in events] == list(range(len(events)))
        assert events[-1].type is TaskEventType.RELEASED
