"""Deleting a run: everything that hangs on it goes, however often the deletion is cut off."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from appdb import Claimer, ConflictError, Database, Lease, NewTask, NotFoundError, TaskState, TokenRepository
from appdb.content.stored_bytes import ByteStore
from appdb.models import LIVE_STATES, FileCategory, NewFile, NewGeneration, NewRun, Origin, Run, TaskFilter, UsageFilter
from appdb.queue.control import Control
from appdb.runs import batches as deleting
from appdb.runs import branches
from appdb.runs import deletion as removal
from appsupport.runs.rich_runs import (
    ANY_AGE,
    DATA,
    LARGE,
    MARKS,
    OF_RUNS,
    Death,
    KilledError,
    held_task,
    keepers,
    made_by,
    rich_run,
    rows_left,
)
from appsupport.runs.run_events import two_steps
from appsupport.runs.run_repositories import OTHER, OWNER, Runs


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


async def test_nothing_of_deleted_run_is_left(runs: Runs) -> None:
    run = await rich_run(runs)
    assert (await rows_left(runs)).keys() == OF_RUNS
    await runs.workflows.delete(run.id, owner_id=OWNER)

    assert await rows_left(runs) == MARKS
    marks = [row async for row in runs.database.collection("workflow_runs").find()]
    assert {tuple(sorted(row)) for row in marks} == {("_id", "deleted_at", "deleting", "owner_id")}
    assert await runs.workflows.sweep() == 0
    assert await runs.workflows.sweep(older_than=ANY_AGE) == 3
    assert await rows_left(runs) == {}
    tasks = await runs.queue.find(TaskFilter(owner_id=OWNER))
    assert [task.state for task in tasks] == [TaskState.CANCELLED] * 5
    with pytest.raises(NotFoundError):
        await runs.workflows.delete(run.id, owner_id=OWNER)


async def test_other_runs_are_untouched(runs: Runs) -> None:
    run, kept = await rich_run(runs), await rich_run(runs, "other")
    before, made = await runs.log(kept), await made_by(runs, kept)
    with pytest.raises(NotFoundError):
        await runs.workflows.delete(run.id, owner_id=OTHER)
    await runs.workflows.delete(run.id, owner_id=OWNER)

    assert (await runs.log(kept), await made_by(runs, kept)) == (before, made)
    assert made[1:4:2] == [[DATA, DATA], ["hello", LARGE]]
    assert len(await runs.branches.page(kept.id, owner_id=OWNER)) == 2
    assert len(await runs.workflows.children(kept.id, owner_id=OWNER)) == 1
    live = await runs.queue.find(TaskFilter(owner_id=OWNER, run_id=kept.id))
    assert {task.actor: task.state for task in live} == {"engine": TaskState.QUEUED, "echo": TaskState.PROCESSING}


@pytest.mark.parametrize("survived", range(len(removal.PARTS) + 1))
async def test_interrupted_deletion_is_finished_by_anybody(
    runs: Runs, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await rich_run(runs)
    with monkeypatch.context() as patch:
        patch.setattr(removal, "PARTS", (*removal.PARTS[:survived], Death))
        with pytest.raises(KilledError):
            await Runs(runs.database).workflows.delete(run.id, owner_id=OWNER)

    with pytest.raises(NotFoundError):
        await runs.get(run)
    assert await runs.workflows.page(owner_id=OWNER) == []
    assert (await runs.workflows.open(NewRun(project="film"), owner_id=OWNER))[1], "its project is free at once"
    assert await runs.workflows.sweep() > 0
    assert await runs.workflows.sweep() == 0
    assert (await rows_left(runs)) == {"branches": 1, "events": 1, "workflow_runs": 4}


@pytest.mark.parametrize(("survived", "orphans"), [(0, 2), (1, 1), (2, 1)])
async def test_bytes_of_killed_writer_are_swept(
    runs: Runs, survived: int, orphans: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, kept = await rich_run(runs), await rich_run(runs, "other")
    before = await made_by(runs, kept)
    deleted = 0
    delete = ByteStore.delete_bytes

    async def die(media: ByteStore, file_id: str) -> None:
        nonlocal deleted
        if deleted == survived:
            raise KilledError(file_id)
        deleted += 1
        await delete(media, file_id)

    with monkeypatch.context() as patch:
        patch.setattr(ByteStore, "delete_bytes", die)
        with pytest.raises(KilledError):
            await runs.workflows.delete(run.id, owner_id=OWNER)

    assert await runs.workflows.sweep() > 0
    # Bytes that no document names any more wait for the sweeps of their own, which come a day later.
    contents, files, _ = keepers(runs)
    swept = await contents.sweep(older_than=ANY_AGE) + await files.sweep(older_than=ANY_AGE)
    assert swept == orphans
    assert await made_by(runs, kept) == before
    await runs.workflows.delete(kept.id, owner_id=OWNER)
    assert await rows_left(runs) == {"workflow_runs": 6}


async def test_deletion_proceeds_in_concurrent_batches(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "DELETE_BATCH", 7)
    run = await rich_run(runs)
    results: list[Any] = await asyncio.gather(
        *(runs.workflows.delete(run.id, owner_id=OWNER) for _ in range(3)), return_exceptions=True
    )

    assert {type(result) for result in results} <= {type(None), NotFoundError}
    assert await rows_left(runs) == MARKS


async def test_usage_of_run_outlives_it(runs: Runs) -> None:
    run = await rich_run(runs)
    tokens = TokenRepository(runs.database)
    before = await tokens.totals(owner_id=OWNER)
    of_run = await tokens.totals(owner_id=OWNER, wanted=UsageFilter(run_id=run.id))
    await runs.workflows.delete(run.id, owner_id=OWNER)
    await runs.workflows.sweep(older_than=ANY_AGE)

    assert before.user.cost == Decimal("0.2")
    assert await tokens.totals(owner_id=OWNER) == before
    assert await tokens.totals(owner_id=OWNER, wanted=UsageFilter(run_id=run.id)) == of_run


async def test_deletion_cancels_follow_ups_and_children(runs: Runs) -> None:
    run = await runs.begin()
    new = NewTask(owner_id=OWNER, actor="echo", payload={}, queue="first", run_id=run.id)
    await runs.queue.enqueue(replace(new, then=(replace(new, run_id=None, queue="later", task_id="tq_then"),)))
    (task,) = await runs.queue.claim(Claimer(worker_id="w1", queues=("first",), handlers=("echo@1",)))
    child = await runs.queue.spawn(Lease.of(task), "child", replace(new, run_id=None, queue="children"))
    await runs.queue.complete(Lease.of(task))
    await runs.workflows.delete(run.id, owner_id=OWNER)

    states = {task_id: (await runs.queue.get(task_id, owner_id=OWNER)).state for task_id in (task.id, child, "tq_then")}
    assert states == {task.id: TaskState.COMPLETED, child: TaskState.CANCELLED, "tq_then": TaskState.CANCELLED}


async def test_documents_written_during_deletion_are_swept(runs: Runs) -> None:
    run, kept = await runs.begin(), await rich_run(runs, "other")
    await runs.workflows.delete(run.id, owner_id=OWNER)
    made, before = await made_by(runs, kept), await rows_left(runs)
    # A host of an older release does not look.
    about = {"run_id": run.id, "owner_id": OWNER}
    now = await runs.database.server_time()
    slipped: dict[str, dict[str, Any]] = {
        "workflow_files": {"_id": "wff_late", "name": "a", "category": "root", "file_id": None} | about,
        "content_generation_metadata": {"_id": "cgm_late", "task_id": "tq_late", "created_at": now} | about,
        "events": {"_id": "evt_late", "seq": 7, "branch_id": "br_late"} | about,
    }
    for name, row in slipped.items():
        await runs.database.collection(name).insert_one(row)
    task = await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}))
    await runs.database.collection("tasks").update_one({"_id": task.id}, {"$set": {"run_id": run.id}})

    assert await runs.workflows.sweep() == 0, "nobody looks before a day has gone by"
    assert await runs.workflows.sweep(older_than=ANY_AGE) == 1
    assert (await runs.queue.get(task.id, owner_id=OWNER)).state is TaskState.CANCELLED
    assert await rows_left(runs) == before | {"workflow_runs": before["workflow_runs"] - 1}
    assert await made_by(runs, kept) == made


@pytest.mark.parametrize("survived", range(2))
async def test_interrupted_branch_deletion_is_swept(runs: Runs, survived: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await runs.begin()
    await runs.append(run, *two_steps())
    left = await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id)
    kept = await runs.workflows.reset(run.id, owner_id=OWNER, branch_id=left.id)
    parts = iter(range(survived))
    delete_all = deleting.delete_all

    async def die(*args: Any) -> int:
        if next(parts, None) is None:
            raise KilledError
        return await delete_all(*args)

    with monkeypatch.context() as patch:
        patch.setattr(branches, "delete_all", die)
        with pytest.raises(KilledError):
            await runs.branches.delete(left.id, owner_id=OWNER)

    assert await runs.workflows.sweep() == 1
    assert await runs.workflows.sweep() == 0
    assert await runs.database.collection("events").count_documents({"branch_id": left.id}) == 0
    assert await runs.database.collection("branches").count_documents({}) == 2
    assert {branch.id for branch in await runs.branches.page(run.id, owner_id=OWNER)} == {run.branch_id, kept.id}


async def test_task_enqueued_during_deletion_is_cancelled(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await runs.begin()
    new = NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=run.id)
    await runs.queue.enqueue(replace(new, then=(replace(new, task_id="tq_then", queue="later"),)))
    (task,) = await runs.queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    leases = [Lease.of(task)]
    cancel = Control.cancel

    async def too_late(control: Control, task_id: str, owner_id: str, session: Any = None) -> Any:
        while leases:
            await runs.queue.complete(leases.pop())
        return await cancel(control, task_id, owner_id, session)

    monkeypatch.setattr(Control, "cancel", too_late)
    await runs.workflows.delete(run.id, owner_id=OWNER)

    ended = {found.id: found.state for found in await runs.queue.find(TaskFilter(owner_id=OWNER, run_id=run.id))}
    assert ended == {task.id: TaskState.COMPLETED, "tq_then": TaskState.CANCELLED}


@pytest.mark.parametrize("name", ["put", "enqueue", "record"])
async def test_transaction_for_run_precedes_its_deletion(runs: Runs, name: str) -> None:
    run = await runs.begin()
    held, _ = await held_task(runs)
    contents, files, _ = keepers(runs)
    file = NewFile(run_id=run.id, branch_id="", category=FileCategory.ROOT, name="a", content="x")
    made = NewGeneration(task_id=held.id, provider="p", operation="o", request={}, origin=Origin(run_id=run.id))
    writes: dict[str, Any] = {
        "put": partial(files.put, file, owner_id=OWNER),
        "enqueue": partial(runs.queue.enqueue, NewTask(owner_id=OWNER, actor="e", payload={}, run_id=run.id)),
        "record": partial(contents.record, made, owner_id=OWNER),
    }

    async def body(session: Any) -> asyncio.Task[None]:
        await writes[name](session=session)
        deletion = asyncio.create_task(runs.workflows.delete(run.id, owner_id=OWNER))
        # As long as it would take if nothing held it up.
        await asyncio.wait({deletion}, timeout=0.5)
        return deletion

    await (await runs.database.transaction(body))
    assert await rows_left(runs) == {"workflow_runs": 1}
    live = TaskFilter(owner_id=OWNER, run_id=run.id, states=LIVE_STATES)
    assert await runs.queue.find(live) == []


async def test_undeletable_run_does_not_block_others(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = await runs.begin("first"), await runs.begin("second")
    mark = {"$set": {"deleting": True, "open": False, "listed": False}}
    await runs.database.collection("workflow_runs").update_many({}, mark)

    class Refuses(Death):
        async def delete_of_run(self, run_id: str, owner_id: str) -> int:
            if run_id == first.id:
                raise ConflictError("workflow run", run_id, owner_id)
            return 0

    with monkeypatch.context() as patch:
        patch.setattr(removal, "PARTS", (Refuses, *removal.PARTS))
        assert await Runs(runs.database).workflows.sweep() == 1

    assert [record.__dict__["run_id"] for record in caplog.records if record.levelname == "ERROR"] == [first.id]
    assert await runs.database.collection("events").count_documents({"run_id": second.id}) == 0
    assert await runs.database.collection("events").count_documents({"run_id": first.id}) == 1
    assert await runs.workflows.sweep() == 1


async def test_unreadable_live_tasks_are_cancelled_with_run(runs: Runs) -> None:
    run = await runs.begin()
    task = await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=run.id))
    tasks = runs.database.collection("tasks")
    await tasks.update_one({"_id": task.id}, {"$set": {"priority": "high"}})
    await runs.workflows.delete(run.id, owner_id=OWNER)

    assert (await tasks.find_one({"_id": task.id}) or {})["state"] == "cancelled"


async def test_deleted_run_takes_no_child_or_lock(runs: Runs) -> None:
    run = await runs.begin()
    await runs.database.collection("workflow_runs").update_one({"_id": run.id}, {"$set": {"deleting": True}})

    async def body(session: Any) -> Run:
        return await runs.workflows.hold(run.id, owner_id=OWNER, session=session)

    with pytest.raises(NotFoundError):
        await runs.database.transaction(body)
    with pytest.raises(NotFoundError):
        await runs.begin("sub", parent_id=run.id)
    assert await runs.workflows.sweep() == 1
