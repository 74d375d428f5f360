"""However an actor ends, and whatever it leaves: the right outcome, a free slot, and no harm to its neighbours."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from appdb import NewTask, Task, TaskState
from appsupport.hosts.live_tasks import OWNER, StartWorker, Tasks

ACTORS = "ending_actors:task ending_actors:thread ending_actors:process"
ISOLATIONS = ("task", "thread", "process")
TRIED_AGAIN = 2
TIMEOUT_SECONDS = 180
"""Seconds that a slow machine gets to start a process for each attempt that fails; nothing is measured by them."""
LEAVING = 20
"""Seconds that a slow machine gets to end a process that ends within 5."""

COMPLETED: dict[str, object] = {
    "nothing": None,
    "a model": {"value": 1},
    "not a number": {"value": None},
    "a bad log call": {"value": True},
    "closed outputs": {"value": True},
    "a thread left behind": {"value": True},
    "a forked child that is ended": {"value": -signal.SIGTERM},
    "a forked child left behind": {"value": True},
    "a step of a tuple": {"value": [1, {"a": 2}]},
}
"""What an actor may do, and the result of the first attempt."""

FAILED: dict[str, tuple[int, str, str]] = {
    "a list": (1, "InvalidResult", "is a list as JSON, and no object; return a pydantic model"),
    "a mapping": (1, "InvalidResult", "returned a dict; return a pydantic model"),
    "an object": (1, "InvalidResult", "is no JSON"),
    "text that is no text": (1, "InvalidResult", "is no JSON"),
    "a number of a hundred digits": (1, "InvalidDataError", "cannot be stored"),
    "too much": (1, "TooLargeError", "over the limit"),
    "a step of too much": (1, "Discarded", "step 'pay' was done, and what it returned cannot be remembered"),
    "a step of a set": (1, "Discarded", "step 'pay' was done, and what it returned cannot be remembered"),
    "a step without a name": (TRIED_AGAIN, "InvalidDataError", "key: it should have"),
    "a child of half a priority": (TRIED_AGAIN, "InvalidDataError", "priority: it should be a valid integer"),
    "its own ValidationError": (TRIED_AGAIN, "ValidationError", "1 validation error for Answer"),
    "SystemExit": (TRIED_AGAIN, "SystemExit", "3"),
    "KeyboardInterrupt": (TRIED_AGAIN, "KeyboardInterrupt", ""),
    "GeneratorExit": (TRIED_AGAIN, "GeneratorExit", ""),
    "CancelledError": (TRIED_AGAIN, "CancelledError", "the actor stopped itself"),
    "MemoryError": (TRIED_AGAIN, "MemoryError", ""),
    "StopIteration": (TRIED_AGAIN, "StopIteration", "1"),
    "RecursionError": (TRIED_AGAIN, "RecursionError", "maximum recursion depth exceeded"),
    "a huge error": (TRIED_AGAIN, "RuntimeError", "x" * 4_000),
    "an error that cannot be told": (TRIED_AGAIN, "MuteError", "which cannot be told"),
    "an error that cannot be copied": (TRIED_AGAIN, "LockedError", "locked"),
    "a report that is no number": (TRIED_AGAIN, "TypeError", "write a fraction from 0 to 1, and a text"),
    "a report of not a number": (TRIED_AGAIN, "ValueError", "was something divided by nothing?"),
}
"""What ends a task as failed: after how many attempts, as what, and with which words."""

ELSEWHERE: dict[tuple[str, str], tuple[int, str, str]] = {
    ("task", "StopIteration"): (TRIED_AGAIN, "RuntimeError", "coroutine raised StopIteration"),
    ("process", "MemoryError"): (TRIED_AGAIN, "ProcessDied", "ran out of memory"),
}
"""What ends otherwise in one isolation."""


async def twice(tasks: Tasks, actor: str, what: str, ledger: Path) -> Task:
    payload: dict[str, JsonValue] = {"what": what, "ledger": str(ledger)}
    return await tasks.queue.enqueue(NewTask(owner_id=OWNER, actor=actor, payload=payload, max_attempts=TRIED_AGAIN))


def told(task: Task) -> tuple[int, str, str]:
    assert task.error is not None, task
    return task.attempt, task.error.type, task.error.message


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_every_ending_has_right_outcome_and_spares_neighbours(
    start_worker: StartWorker, tasks: Tasks, tmp_path: Path, isolation: str
) -> None:
    host = start_worker(slots=3, others=ACTORS)
    gate, ledger = tmp_path / "gate", tmp_path / "paid"
    neighbour = await tasks.add("probe.gate", ledger=str(gate))
    added = {what: await twice(tasks, f"ending.{isolation}", what, ledger) for what in COMPLETED | FAILED}
    final = {what: await tasks.final(task, TIMEOUT_SECONDS) for what, task in added.items()}
    (tmp_path / "gate.open").touch()

    for what, result in COMPLETED.items():
        assert (final[what].state, final[what].attempt, final[what].result) == (TaskState.COMPLETED, 1, result), what
    for what, expected in FAILED.items():
        attempts, kind, words = ELSEWHERE.get((isolation, what), expected)
        assert told(final[what])[:2] == (attempts, kind), what
        assert words in told(final[what])[2], what
        assert len(told(final[what])[2]) <= 4_000
    assert sorted(ledger.read_text().splitlines()) == ["a step of a set", "a step of a tuple", "a step of too much"]
    assert (await tasks.final(neighbour)).attempt == 1
    host.check()
    assert "could not be settled" not in host.log.read_text()


async def test_failed_thread_start_loses_no_slot(start_worker: StartWorker, tasks: Tasks) -> None:
    start_worker(slots=1, others=ACTORS)
    taken = await tasks.add("ending.task", what="no more threads")
    assert (await tasks.final(taken)).state is TaskState.COMPLETED
    refused = await tasks.final(await tasks.add("ending.thread", what="a model"))
    following = await tasks.final(await tasks.add("ending.thread", what="a model"))

    assert told(refused) == (3, "NotStarted", "the host cannot start the attempt: can't start new thread")
    assert (following.state, following.attempt) == (TaskState.COMPLETED, 1)


async def test_isolated_process_hears_no_worker_signal(start_worker: StartWorker, tasks: Tasks) -> None:
    start_worker(slots=1, others=ACTORS)
    done = await tasks.final(await tasks.add("ending.process", what="signals for everybody"))

    assert (done.state, done.attempt) == (TaskState.COMPLETED, 1)


async def test_process_death_is_noticed_despite_living_child(start_worker: StartWorker, tasks: Tasks) -> None:
    start_worker(slots=1, others=ACTORS)
    began = time.monotonic()
    failed = await tasks.final(await tasks.add("ending.process", what="death beside a forked child"))

    assert told(failed) == (3, "ProcessDied", "the actor's process ended by itself, with exit code 5")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("isolation", ["task", "thread"])
async def test_drained_worker_ends_despite_leftover_threads(
    start_worker: StartWorker, tasks: Tasks, isolation: str
) -> None:
    host = start_worker(slots=1, others=ACTORS)
    await tasks.final(await tasks.add(f"ending.{isolation}", what="a thread left behind"))
    host.process.terminate()

    assert await asyncio.to_thread(host.process.wait, LEAVING) == 0
    assert "left behind" in host.log.read_text()


async def test_hangup_drains_and_second_hurries_nothing(start_worker: StartWorker, tasks: Tasks) -> None:
    host = start_worker(slots=1)
    task = await tasks.add("probe.work", seconds=2, items=4)
    await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    for _ in range(2):
        host.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.2)

    assert await asyncio.to_thread(host.process.wait, 20) == 0
    assert ((await tasks.get(task)).state, (await tasks.get(task)).attempt) == (TaskState.COMPLETED, 1)


async def test_hangup_drains_every_process(start_worker: StartWorker, tasks: Tasks) -> None:
    host = start_worker(slots=1, APPWORKER_PROCESSES="2")
    task = await tasks.add("probe.work", seconds=2, items=4)
    await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    host.process.send_signal(signal.SIGHUP)

    assert await asyncio.to_thread(host.process.wait, 20) == 0
    assert ((await tasks.get(task)).state, (await tasks.get(task)).attempt) == (TaskState.COMPLETED, 1)


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_step_ended_after_stop_is_saved(
    start_worker: StartWorker, tasks: Tasks, tmp_path: Path, isolation: str
) -> None:
    ledger = tmp_path / "paid"
    host = start_worker(slots=1, others=ACTORS, APPWORKER_DRAIN="0.1")
    task = await tasks.add(f"ending.{isolation}", what="a step of a second", seconds=2, ledger=str(ledger))
    async with asyncio.timeout(30):
        while not ledger.exists():
            await asyncio.sleep(0.02)
    host.process.terminate()
    assert await asyncio.to_thread(host.process.wait, LEAVING) == 0
    assert (await tasks.get(task)).state is TaskState.QUEUED
    start_worker(slots=1, others=ACTORS)
    done = await tasks.final(task)

    assert (done.state, done.result) == (TaskState.COMPLETED, {"value": "paid"})
    assert ledger.read_text() == "a step of a second\n"


async def test_fault_in_worker_loop_ends_nothing(start_worker: StartWorker, tasks: Tasks) -> None:
    host = start_worker(slots=4, others=ACTORS, APPWORKER_LEASE="6")  # a loop that fell begins again within a second
    running = await tasks.add("probe.work", seconds=9, items=4)
    await tasks.until(running, lambda found: found.state is TaskState.PROCESSING)
    await tasks.add("ending.task", what="a broken worker")
    for name in ("claim", "renew", "commit"):
        await asyncio.to_thread(host.wait_for, f"({name} fails on purpose)")
    following = await tasks.final(await tasks.add("ending.task", what="a model"))

    assert (following.state, following.attempt) == (TaskState.COMPLETED, 1)
    assert ((await tasks.final(running)).state, (await tasks.get(running)).attempt) == (TaskState.COMPLETED, 1)
    host.check()


async def test_log_tells_begin_and_end_of_task(start_worker: StartWorker, tasks: Tasks) -> None:
    host = start_worker(slots=1, others=ACTORS)
    failed = await tasks.final(await tasks.add("ending.thread", what="SystemExit"))
    done = await tasks.final(await tasks.add("probe.work", seconds=0.4, items=2))
    await asyncio.to_thread(host.wait_for, f"(task ended.*{done.id})")
    lines = [json.loads(line) for line in host.log.read_text().splitlines()]

    of_failed = [line for line in lines if line.get("task_id") == failed.id and line["event"] in TOLD]
    # An attempt may begin before the line is written that tells how the one before has ended.
    assert [told_of(line) for line in sorted(of_failed, key=lambda line: line["attempt"])] == [
        ("a task begins", "ending.thread", 1, None),
        ("a task ended", "ending.thread", 1, "retrying"),
        ("a task begins", "ending.thread", 2, None),
        ("a task ended", "ending.thread", 2, "retrying"),
        ("a task begins", "ending.thread", 3, None),
        ("a task ended", "ending.thread", 3, "failed"),
    ]
    ended = [line for line in lines if line.get("task_id") == done.id and line["event"] == "a task ended"]
    assert [line["outcome"] for line in ended] == ["completed"]
    assert ended[0]["seconds"] >= 0.4


TOLD = ("a task begins", "a task ended")


def told_of(line: dict[str, Any]) -> tuple[object, ...]:
    return line["event"], line["actor"], line["attempt"], line.get("outcome")


@pytest.mark.parametrize(("queues", "doubted"), [("default,renders", ["renders"]), ("default", []), ("paused", [])])
async def test_worker_tells_unnamed_queues(
    start_worker: StartWorker, tasks: Tasks, queues: str, doubted: list[str]
) -> None:
    await tasks.queue.pause("paused")
    host = start_worker(APPWORKER_QUEUES=queues)
    lines = [json.loads(line) for line in host.log.read_text().splitlines()]

    assert [line["queue"] for line in lines if "names a queue of this worker" in line["event"]] == doubted


GUARDED = {"APPWORKER_LEASE": "9", "APPWORKER_HEARTBEAT": "1"}
"""Leases that are over well before the actor lets go of Python's lock, and not before its guard has stood in."""


@pytest.mark.parametrize("isolation", ["task", "thread"])
async def test_actor_holding_gil_costs_neighbours_nothing(
    start_worker: StartWorker, tasks: Tasks, tmp_path: Path, isolation: str
) -> None:
    host = start_worker(slots=2, others=ACTORS, **GUARDED)
    ledger = tmp_path / "gate"
    neighbour = await tasks.add("probe.gate", ledger=str(ledger))
    await tasks.until(neighbour, lambda found: found.state is TaskState.PROCESSING)
    holding = await tasks.add(f"ending.{isolation}", what="a held lock")
    await tasks.until(holding, lambda found: found.state is TaskState.PROCESSING)
    start_worker(slots=2, others=ACTORS, **GUARDED)
    held = await tasks.final(holding, 60)
    (tmp_path / "gate.open").touch()
    beside = await tasks.final(neighbour)

    assert (held.state, held.attempt, held.result) == (TaskState.COMPLETED, 1, {"value": True})
    assert (beside.state, beside.attempt) == (TaskState.COMPLETED, 1)
    assert "may be lost" not in host.log.read_text()


async def test_killed_worker_with_active_guard_loses_leases(start_worker: StartWorker, tasks: Tasks) -> None:
    host = start_worker(slots=2, others=ACTORS, **GUARDED)
    holding = await tasks.add("ending.process", what="a held lock")
    locked = await tasks.add("ending.thread", what="a held lock")
    for task in (holding, locked):
        await tasks.until(task, lambda found: found.state is TaskState.PROCESSING)
    await asyncio.sleep(6)
    host.process.kill()
    killed_at = time.monotonic()
    start_worker(slots=2, others=ACTORS, **GUARDED)
    await tasks.until(locked, lambda found: found.attempt == 2, 40)

    assert time.monotonic() - killed_at < 9 + 5 + 4


async def test_dead_guard_is_replaced_and_knows_leases(start_worker: StartWorker, tasks: Tasks, tmp_path: Path) -> None:
    host = start_worker(slots=2, others=ACTORS, APPWORKER_LOG_LEVEL="DEBUG", **GUARDED)
    first = int(await asyncio.to_thread(host.wait_for, r'a guard of the leases was started".*"pid": (\d+)'))
    neighbour = await tasks.add("probe.gate", ledger=str(tmp_path / "gate"))
    await tasks.until(neighbour, lambda found: found.state is TaskState.PROCESSING)
    os.kill(first, signal.SIGKILL)
    await asyncio.to_thread(host.wait_for, "(another takes its place)")
    await asyncio.to_thread(host.wait_for, rf'a guard of the leases was started".*"pid": (?!{first}\b)(\d+)')
    await asyncio.sleep(1)
    holding = await tasks.add("ending.thread", what="a held lock")
    await tasks.until(holding, lambda found: found.state is TaskState.PROCESSING)
    start_worker(slots=2, others=ACTORS, **GUARDED)

    assert (await tasks.final(holding, 60)).attempt == 1
    (tmp_path / "gate.open").touch()
    assert (await tasks.final(neighbour)).attempt == 1
