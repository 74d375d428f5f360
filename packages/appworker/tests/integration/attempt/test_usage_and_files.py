"""Usage, files and origins of attempts: the same from every executor, and nothing behind a lost lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from appdb import (
    Claimer,
    ContentRepository,
    Database,
    FileRepository,
    InvalidDataError,
    NewTask,
    Task,
    TaskState,
    TokenRepository,
    WorkflowRepository,
)
from appdb.models import CallUsage, ContentKind, FileFormat, NewContent, NewRun, Origin, TaskFile, Usage
from appsupport.hosts.live_tasks import OWNER, StartWorker, Tasks
from appworker.attempt.attempt import Attempt
from appworker.attempt.context import AttemptContext
from appworker.attempt.services import AttemptServices
from appworker.errors import TaskStoppedError
from appworker.execution.stop import StopReason

ACTORS = {name: f"ledger.{name}" for name in ("async", "thread", "process", "plain", "plain_process")}
FUNCTIONS = "shared threaded isolated plain plain_isolated"
RUN = "wf_1"
CALL = CallUsage(provider="local", model="small", operation="chat", cost=Decimal("0.000000000001"), input_tokens=7)
"""The same call, file and item as those of the actors."""
NOTE = TaskFile(name="note.json", content={"a": [1, "é", None]}, format=FileFormat.JSON, metadata={"by": "ledger"})
ITEM = NewContent(
    key="text", kind=ContentKind.TEXT, role="text", media_type="text/plain", filename="f.txt", data=b"hello"
)
ORIGIN = Origin(
    run_id=RUN, branch_id="br_1", step="draw", module="picture", sub_action_id="picture/1", interaction_id="int_1"
)
LABELS = {name: value for name, value in asdict(ORIGIN).items() if value is not None}


async def enqueued(tasks: Tasks, database: Database, actor: str, **labels: Any) -> Task:
    if "run_id" in labels:
        await WorkflowRepository(database).open(NewRun(project="film", run_id=RUN), owner_id=OWNER)
    return await tasks.queue.enqueue(NewTask(owner_id=OWNER, actor=actor, payload={}, **labels))


async def calls(database: Database) -> list[Usage]:
    return await TokenRepository(database).page(owner_id=OWNER)


async def test_every_executor_records_for_origin(start_worker: StartWorker, tasks: Tasks, database: Database) -> None:
    start_worker(others=" ".join(f"ledger_actors:{name}" for name in FUNCTIONS.split()))
    for number, actor in enumerate(ACTORS.values(), 1):
        done = await tasks.final(await enqueued(tasks, database, actor, **LABELS))
        generation = await ContentRepository(database).generation(done.id, owner_id=OWNER)
        recorded = [usage for usage in await calls(database) if usage.task_id == done.id]
        (file,) = await FileRepository(database).page(RUN, owner_id=OWNER)
        read = await FileRepository(database).get(file.id, owner_id=OWNER)

        assert (done.state, done.result) == (TaskState.COMPLETED, {"origin": asdict(ORIGIN)}), actor
        assert {name: getattr(generation, name) for name in LABELS} == LABELS
        assert [(usage.cost, usage.step_id, usage.module_name) for usage in recorded] == [
            (CALL.cost, "draw", "picture")
        ]
        assert (read.content, read.branch_id, read.metadata) == (NOTE.content, "br_1", {"by": "ledger"})
        assert len(await calls(database)) == number


async def test_file_of_plain_task_fails_it_with_reason(
    start_worker: StartWorker, tasks: Tasks, database: Database
) -> None:
    start_worker(others="ledger_actors:isolated ledger_actors:plain")
    for actor in (ACTORS["process"], ACTORS["plain"]):
        task = await enqueued(tasks, database, actor)
        failed = await tasks.until(task, lambda found: found.error is not None)

        assert failed.error is not None
        assert (failed.error.type, "works for no run" in failed.error.message) == ("InvalidDataError", True)
        await tasks.queue.cancel(task.id, owner_id=OWNER)


@pytest.fixture
async def context(tasks: Tasks, database: Database) -> AttemptContext:
    """Return the context of an attempt that nobody looks after: its lease is what the fence alone knows."""
    await enqueued(tasks, database, "ledger.async", **LABELS)
    claimer = Claimer(worker_id="w1", queues=("default",), handlers=("ledger.async@1",))
    (task,) = await tasks.queue.claim(claimer)
    attempt = Attempt(task, AttemptServices.of(database, tasks.queue), claimed_at=time.monotonic())
    return AttemptContext(attempt, timedelta(minutes=1), asyncio.get_running_loop())


WRITES: dict[str, Callable[[AttemptContext], Awaitable[str]]] = {
    "usage": lambda context: context.record_usage("call", CALL),
    "file": lambda context: context.store_file(NOTE),
    "content": lambda context: context.store(ITEM),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_cancel_in_between_stops_and_writes_nothing(
    context: AttemptContext, tasks: Tasks, database: Database, write: Callable[[AttemptContext], Awaitable[str]]
) -> None:
    await tasks.queue.cancel(context.task_id, owner_id=OWNER)
    with pytest.raises(TaskStoppedError):
        await write(context)

    assert context.cancelled
    assert await calls(database) == []
    assert await FileRepository(database).page(RUN, owner_id=OWNER) == []


async def test_other_holder_in_between_keeps_its_own(context: AttemptContext, tasks: Tasks, database: Database) -> None:
    await context.record_usage("call", CALL)
    expired = {"$set": {"lease.expires_at": (await tasks.queue.get(context.task_id, owner_id=OWNER)).created_at}}
    await database.collection("tasks").update_one({"_id": context.task_id}, expired)
    await tasks.queue.recover()
    with pytest.raises(TaskStoppedError):
        await context.record_usage("another", CALL)

    assert len(await calls(database)) == 1


async def test_call_of_stopped_attempt_is_still_recorded(context: AttemptContext, database: Database) -> None:
    context._attempt.stop.throw(StopReason.DRAIN)
    with pytest.raises(TaskStoppedError):
        await context.record_usage("call", CALL)
    with pytest.raises(TaskStoppedError):
        await context.store_file(NOTE)

    assert [usage.cost for usage in await calls(database)] == [CALL.cost]
    assert await FileRepository(database).page(RUN, owner_id=OWNER) == []


async def test_refused_call_leaves_attempt_running(context: AttemptContext, database: Database) -> None:
    with pytest.raises(InvalidDataError):
        await context.record_usage("", CALL)
    await context.record_usage("call", CALL)

    assert len(await calls(database)) == 1
