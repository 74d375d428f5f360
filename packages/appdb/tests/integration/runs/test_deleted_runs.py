"""A deleted run takes no writes, and reads like one that never was."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from appdb import Claimer, Database, DbEventType, Lease, LeaseLostError, NewTask, NotFoundError, Task, TaskState
from appdb.models import (
    LIVE_STATES,
    ContentKind,
    FileCategory,
    NewContent,
    NewFile,
    NewGeneration,
    NewUsage,
    Origin,
    Run,
    TaskFilter,
)
from appdb.runs import deletion as removal
from appdb.runs.lines import Lines
from appsupport.runs.rich_runs import ANY_AGE, DATA, LARGE, Death, KilledError, held_task, keepers, rich_run, rows_left
from appsupport.runs.run_events import event, step_started
from appsupport.runs.run_repositories import OTHER, OWNER, Runs


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


@pytest.mark.parametrize("stage", ["begun", "ended", "forgotten"])
async def test_deleted_run_takes_no_writes(runs: Runs, stage: str) -> None:
    run, kept = await runs.begin(), await runs.begin("other")
    ended = await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=run.id, queue="ended"))
    await runs.queue.cancel(ended.id, owner_id=OWNER)
    held = await held_task(runs)
    await delete_up_to(runs, run, stage)
    before = await rows_left(runs)
    calls = await writes_to(runs, run, held)
    refused = {}
    for name, call in calls.items():
        with pytest.raises(NotFoundError, match=f"workflow run '{run.id}'") as caught:
            await call()
        refused[name] = caught.value.document_id

    assert set(refused.values()) == {run.id}
    assert await rows_left(runs) == before
    live = await runs.queue.find(TaskFilter(owner_id=OWNER, states=LIVE_STATES))
    assert [task.id for task in live] == [held[0].id]
    assert await runs.queue.replay_many(TaskFilter(owner_id=OWNER), key="k") == []
    assert (
        await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=kept.id))
    ).run_id == kept.id


async def delete_up_to(runs: Runs, run: Run, stage: str) -> None:
    """Delete a run: only its mark, all of it, or until even the mark has gone."""
    if stage == "begun":
        mark = {"$set": {"deleting": True, "open": False, "listed": False}}
        await runs.database.collection("workflow_runs").update_one({"_id": run.id}, mark)
        return
    await runs.workflows.delete(run.id, owner_id=OWNER)
    if stage == "forgotten":
        assert await runs.workflows.sweep(older_than=ANY_AGE) == 1


async def writes_to(runs: Runs, run: Run, held: tuple[Task, Lease]) -> dict[str, Any]:
    """Return everything that writes for a run, by name."""
    contents, files, tokens = keepers(runs)
    task, lease = held
    (ended,) = await runs.queue.find(TaskFilter(owner_id=OWNER, states=frozenset({TaskState.CANCELLED})))
    origin = Origin(run_id=run.id)
    new = NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=run.id)
    file = NewFile(run_id=run.id, branch_id=run.branch_id, category=FileCategory.OUTPUTS, name="a", content="x")
    usage = NewUsage(provider="p", model="m", operation="o", cost=Decimal(1), run_id=run.id)
    generation = NewGeneration(task_id=task.id, provider="p", operation="o", request={}, origin=origin)

    def joined(call: Any) -> Any:
        return lambda: runs.database.transaction(lambda session: call(session=session))

    return {
        "put": lambda: files.put(file, owner_id=OWNER),
        "put in a transaction": joined(partial(files.put, file, owner_id=OWNER)),
        "put of much": lambda: files.put(replace(file, content=LARGE), owner_id=OWNER),
        "record usage": lambda: tokens.record(usage, owner_id=OWNER),
        "record usage in a transaction": joined(partial(tokens.record, usage, owner_id=OWNER)),
        "enqueue": lambda: runs.queue.enqueue(new),
        "enqueue later": lambda: runs.queue.enqueue(replace(new, delay=timedelta(hours=1))),
        "enqueue with a key": lambda: runs.queue.enqueue(replace(new, unique_key="k")),
        "enqueue in a transaction": joined(partial(runs.queue.enqueue, new)),
        "enqueue many": lambda: runs.queue.enqueue_many([replace(new, run_id=None, owner_id=OTHER), new, new]),
        "spawn": lambda: runs.queue.spawn(lease, "child", new),
        "replay": lambda: runs.queue.replay(ended.id, owner_id=OWNER),
        "retry": lambda: runs.queue.retry(ended.id, owner_id=OWNER),
        "record": lambda: contents.record(generation, owner_id=OWNER),
        "begin": lambda: contents.begin(lease, task, operation="o", provider="p", source_data={}, origin=origin),
        "append": lambda: runs.events.append(run.id, [step_started("a")], owner_id=OWNER, branch_id=run.branch_id),
        "reset": lambda: runs.workflows.reset(run.id, owner_id=OWNER, branch_id=run.branch_id),
        "follow": lambda: runs.workflows.set_version(run.id, "ver_2", owner_id=OWNER),
        "open": lambda: runs.begin("sub", parent_id=run.id),
    }


async def test_deleted_runs_task_makes_nothing(runs: Runs) -> None:
    run = await runs.begin()
    contents, _, _ = keepers(runs)
    await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=run.id))
    (task,) = await runs.queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    lease = Lease.of(task)
    item = NewContent(key="a", kind=ContentKind.IMAGE, role="a", media_type="image/png", filename="a", data=DATA)
    await contents.store(lease, task, item, seq=0)
    (generation,) = await contents.list_for_run(run.id, owner_id=OWNER)
    await runs.workflows.delete(run.id, owner_id=OWNER)

    assert (generation.run_id, len(generation.items)) == (run.id, 1)
    with pytest.raises(LeaseLostError):
        await contents.store(lease, task, item, seq=1)
    with pytest.raises(LeaseLostError):
        await contents.begin(lease, task, operation="o", provider="p", source_data={})
    assert await rows_left(runs) == {"workflow_runs": 1}


async def test_follow_up_for_deleted_run_is_left_out(runs: Runs) -> None:
    run, other = await runs.begin(), await runs.begin("other")
    new = NewTask(owner_id=OWNER, actor="echo", payload={}, run_id=run.id)
    then = (replace(new, run_id=other.id, task_id="tq_other"), replace(new, run_id=None, task_id="tq_then"))
    await runs.queue.enqueue(replace(new, then=then))
    (task,) = await runs.queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    await runs.workflows.delete(other.id, owner_id=OWNER)
    await runs.queue.complete(Lease.of(task))

    assert (await runs.queue.get(task.id, owner_id=OWNER)).state is TaskState.COMPLETED
    assert (await runs.queue.get("tq_then", owner_id=OWNER)).run_id == run.id
    with pytest.raises(NotFoundError):
        await runs.queue.get("tq_other", owner_id=OWNER)


@pytest.mark.parametrize("survived", range(len(removal.PARTS) + 1))
async def test_run_being_deleted_reads_as_missing(runs: Runs, survived: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await rich_run(runs)
    (event, *_), (branch, *_) = await runs.log(run), await runs.branches.page(run.id, owner_id=OWNER)
    _, files, _ = keepers(runs)
    (file, *_) = await files.page(run.id, owner_id=OWNER)
    with monkeypatch.context() as patch:
        patch.setattr(removal, "PARTS", (*removal.PARTS[:survived], Death))
        with pytest.raises(KilledError):
            await Runs(runs.database).workflows.delete(run.id, owner_id=OWNER)

    answered = []
    for name, call in reads_of(runs, run.id, event.id, branch.id, file.id).items():
        with suppress(NotFoundError):
            answered.append((name, await call()))

    assert answered == []


def reads_of(runs: Runs, run_id: str, event_id: str, branch_id: str, file_id: str) -> dict[str, Any]:
    """Return everything that reads of a run, by name."""
    contents, files, _ = keepers(runs)
    of_run: dict[str, Any] = {
        "get": runs.workflows.get,
        "children": runs.workflows.children,
        "versions": runs.workflows.versions,
        "log": runs.events.log,
        "read": runs.events.read,
        "latest": partial(runs.events.latest, event_type=DbEventType.STEP_STARTED),
        "current": runs.branches.current,
        "root": runs.branches.root,
        "lineage": runs.branches.lineage,
        "page": runs.branches.page,
        "state": runs.states.get,
        "at": partial(runs.states.at, seq=1),
        "interactions": runs.states.interactions,
        "module_output": partial(runs.states.module_output, module="draft"),
        "retry_context": partial(runs.states.retry_context, module="draft"),
        "files": files.page,
        "newest": partial(files.newest, name="small.txt"),
        "calls": files.calls,
        "content": contents.list_for_run,
        "recover": runs.database.recover_run,
        "dry": partial(runs.database.recover_run, dry_run=True),
    }
    of_parts: dict[str, tuple[Any, str]] = {
        "event": (runs.events.get, event_id),
        "branch": (runs.branches.get, branch_id),
        "file": (files.get, file_id),
    }
    calls: dict[str, Any] = {name: partial(method, run_id, owner_id=OWNER) for name, method in of_run.items()}
    return calls | {name: partial(method, key, owner_id=OWNER) for name, (method, key) in of_parts.items()}


async def test_state_read_overtaken_by_deletion_blames_no_backup(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await runs.begin()
    # More than come in one answer.
    for _ in range(2):
        await runs.append(run, *[event(DbEventType.WORKFLOW_RESUMED, number=number) for number in range(400)])
    read, left = Lines.read, [run]

    async def then_deleted(lines: Lines, *args: Any) -> Any:
        line = await read(lines, *args)
        while left:
            await runs.workflows.delete(left.pop().id, owner_id=OWNER)
        return line

    monkeypatch.setattr(Lines, "read", then_deleted)
    with pytest.raises(NotFoundError, match=run.id):
        await runs.state(run)
    assert not left
