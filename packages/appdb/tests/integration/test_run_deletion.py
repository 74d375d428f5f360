"""Deleting a run: everything that hangs on it goes, however often the deletion is cut off."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from appdb import Database, NewRun, NewTask, NotFoundError, Run, TaskFilter, TaskState
from appdb.runs import deleting, removal
from runs import OTHER, OWNER, Runs, step_started, two_steps


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


async def rich_run(runs: Runs, project: str = "film") -> Run:
    """Make a run with events on two branches, a snapshot, versions, a child run and a live task."""
    run = await runs.begin(project, version_id="ver_1")
    await runs.workflows.set_version(run.id, "ver_2", owner_id=OWNER)
    await runs.append(run, *two_steps())
    await runs.append(run, *[step_started(f"s{number}") for number in range(200)])
    await runs.state(run)
    await runs.states.jump(run.id, "write", owner_id=OWNER, branch_id=run.branch_id)
    child = await runs.begin("sub", parent_id=run.id)
    grandchild = await runs.begin("sub", parent_id=child.id)
    for owner in (run, child, grandchild):
        await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="engine", payload={}, run_id=owner.id))
    return run


async def rows_left(runs: Runs) -> dict[str, int]:
    """Return how many documents each collection has that a run can leave behind."""
    names = [
        name
        for name in await runs.database.raw.list_collection_names()
        if name not in ("config", "migrations", "tasks", "task_events")
    ]
    counts = {name: await runs.database.collection(name).count_documents({}) for name in names}
    return {name: count for name, count in counts.items() if count}


async def test_nothing_of_a_deleted_run_is_left(runs: Runs) -> None:
    run = await rich_run(runs)
    assert (await rows_left(runs)).keys() == {
        "branches",
        "events",
        "snapshots",
        "workflow_run_versions",
        "workflow_runs",
    }
    await runs.workflows.delete(run.id, owner_id=OWNER)

    assert await rows_left(runs) == {}
    tasks = await runs.queue.find(TaskFilter(owner_id=OWNER))
    assert [task.state for task in tasks] == [TaskState.CANCELLED] * 3
    with pytest.raises(NotFoundError):
        await runs.workflows.delete(run.id, owner_id=OWNER)


async def test_other_runs_stay_as_they_are(runs: Runs) -> None:
    run, kept = await rich_run(runs), await rich_run(runs, "other")
    before = await runs.log(kept)
    with pytest.raises(NotFoundError):
        await runs.workflows.delete(run.id, owner_id=OTHER)
    await runs.workflows.delete(run.id, owner_id=OWNER)

    assert await runs.log(kept) == before
    assert len(await runs.branches.page(kept.id, owner_id=OWNER)) == 2
    assert len(await runs.workflows.children(kept.id, owner_id=OWNER)) == 1
    live = await runs.queue.find(TaskFilter(owner_id=OWNER, run_id=kept.id))
    assert [task.state for task in live] == [TaskState.QUEUED]


@pytest.mark.parametrize("survived", range(len(removal.PARTS) + 1))
async def test_a_deletion_that_is_cut_off_is_finished_by_anybody(
    runs: Runs, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await rich_run(runs)

    class KilledError(Exception):
        pass

    class Death:
        def __init__(self, _: Database) -> None:
            pass

        async def delete_run(self, run_id: str, *, owner_id: str) -> int:
            raise KilledError(run_id, owner_id)

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
    assert (await rows_left(runs)) == {"branches": 1, "events": 1, "workflow_runs": 1}


async def test_a_deletion_goes_on_in_batches_and_twice_at_once(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "DELETE_BATCH", 7)
    run = await rich_run(runs)
    results: list[Any] = await asyncio.gather(
        *(runs.workflows.delete(run.id, owner_id=OWNER) for _ in range(3)), return_exceptions=True
    )

    assert {type(result) for result in results} <= {type(None), NotFoundError}
    assert await rows_left(runs) == {}


async def test_a_deleted_run_takes_no_child_and_cannot_be_held(runs: Runs) -> None:
    run = await runs.begin()
    await runs.database.collection("workflow_runs").update_one({"_id": run.id}, {"$set": {"deleting": True}})

    async def body(session: Any) -> Run:
        return await runs.workflows.hold(run.id, owner_id=OWNER, session=session)

    with pytest.raises(NotFoundError):
        await runs.database.transaction(body)
    with pytest.raises(NotFoundError):
        await runs.begin("sub", parent_id=run.id)
    assert await runs.workflows.sweep() == 1
