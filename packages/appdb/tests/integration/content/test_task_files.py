"""Run files of tasks: behind the fence, on the task's branch, replaced by a re-run, and no bytes left behind."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from appdb import (
    Claimer,
    Database,
    FileRepository,
    InvalidDataError,
    Lease,
    LeaseLostError,
    NewTask,
    NotFoundError,
    Task,
    TaskQueue,
    WorkflowRepository,
)
from appdb.content.run_files import MAX_INLINE_BYTES
from appdb.models import FileCategory, FileFormat, FileRole, TaskFile
from appsupport.runs.run_repositories import OWNER, open_run

CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))
LARGE = "x" * (MAX_INLINE_BYTES + 1)


@pytest.fixture
def queue(database: Database) -> TaskQueue:
    return TaskQueue(database, lease=timedelta(seconds=30))


@pytest.fixture
def files(database: Database) -> FileRepository:
    return FileRepository(database)


async def claimed(queue: TaskQueue, **changes: Any) -> Task:
    await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, **changes))
    (found,) = await queue.claim(CLAIMER)
    return found


@pytest.fixture
async def task(database: Database, queue: TaskQueue) -> Task:
    return await claimed(queue, run_id=await open_run(database, "wf_1"), branch_id="br_1")


async def bytes_kept(database: Database) -> int:
    return await database.collection("files.files").count_documents({})


async def test_file_belongs_to_run_and_branch_of_task(files: FileRepository, task: Task) -> None:
    file = TaskFile(
        name="answer.json",
        content={"a": [1, None]},
        format=FileFormat.JSON,
        category=FileCategory.API_CALLS,
        group="call-1",
        role=FileRole.RESPONSE,
        metadata={"model": "small"},
    )
    written = await files.store(Lease.of(task), task, file)
    found = await files.get(written.id, owner_id=OWNER)

    assert (found.run_id, found.branch_id, found.owner_id) == ("wf_1", "br_1", OWNER)
    assert (found.content, found.category, found.group) == ({"a": [1, None]}, FileCategory.API_CALLS, "call-1")
    assert (found.role, found.metadata) == (FileRole.RESPONSE, {"model": "small"})


@pytest.mark.parametrize("texts", [("one", "two"), (LARGE, LARGE + "y"), (LARGE, "small"), ("small", LARGE)])
async def test_rerun_replaces_file_and_its_bytes(
    files: FileRepository, queue: TaskQueue, database: Database, task: Task, texts: tuple[str, str]
) -> None:
    first = await files.store(Lease.of(task), task, TaskFile(name="a", content=texts[0]))
    await queue.fail(Lease.of(task), "Broken", "again", retry_in=timedelta(0))
    (again,) = await queue.claim(CLAIMER)
    second = await files.store(Lease.of(again), again, TaskFile(name="a", content=texts[1]))

    assert first.id == second.id
    assert (await files.get(first.id, owner_id=OWNER)).text == texts[1]
    assert await bytes_kept(database) == int(len(texts[1]) > MAX_INLINE_BYTES)


async def test_tasks_of_one_run_share_names(files: FileRepository, queue: TaskQueue, task: Task) -> None:
    other = await claimed(queue, run_id="wf_1", branch_id="br_1")
    writes = [files.store(Lease.of(one), one, TaskFile(name="a", content=one.id)) for one in (task, other)]
    first, second = await asyncio.gather(*writes)

    assert first.id == second.id
    assert (await files.get(first.id, owner_id=OWNER)).text in {task.id, other.id}


@pytest.mark.parametrize("text", ["small", LARGE])
@pytest.mark.parametrize("end", ["cancel", "complete", "retry"])
async def test_without_lease_no_file_or_bytes_stay(
    files: FileRepository, queue: TaskQueue, database: Database, task: Task, end: str, text: str
) -> None:
    lease = Lease.of(task)
    match end:
        case "cancel":
            await queue.cancel(task.id, owner_id=OWNER)
        case "complete":
            await queue.complete(lease)
        case _:
            await queue.fail(lease, "Broken", "no", retry_in=timedelta(0))

    with pytest.raises(LeaseLostError):
        await files.store(lease, task, TaskFile(name="a", content=text))
    assert await files.page("wf_1", owner_id=OWNER) == []
    assert await bytes_kept(database) == 0


async def test_plain_task_has_no_files(files: FileRepository, queue: TaskQueue) -> None:
    plain = await claimed(queue)

    with pytest.raises(InvalidDataError, match="works for no run"):
        await files.store(Lease.of(plain), plain, TaskFile(name="a", content="x"))


async def test_deletion_of_run_leaves_no_file(files: FileRepository, queue: TaskQueue, database: Database) -> None:
    for number in range(10):
        run_id = await open_run(database, f"wf_{number}")
        task = await claimed(queue, run_id=run_id)
        store = files.store(Lease.of(task), task, TaskFile(name="a", content=LARGE))
        outcome, _ = await asyncio.gather(
            store, WorkflowRepository(database).delete(run_id, owner_id=OWNER), return_exceptions=True
        )

        assert not isinstance(outcome, BaseException) or isinstance(outcome, LeaseLostError | NotFoundError)
        assert await database.collection("workflow_files").count_documents({}) == 0
        assert await bytes_kept(database) == 0
