"""Deleting a run: everything that hangs on it goes, however often the deletion is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from appdb import (
    Claimer,
    Content,
    ContentKind,
    ContentRepository,
    Database,
    FileCategory,
    FileRepository,
    Lease,
    NewContent,
    NewFile,
    NewRun,
    NewTask,
    NewUsage,
    NotFoundError,
    Origin,
    Run,
    TaskFilter,
    TaskState,
    TokenRepository,
    UsageFilter,
)
from appdb.repos.file import MAX_INLINE_BYTES
from appdb.repos.media import CHUNK_BYTES, MediaStore
from appdb.runs import deleting, removal
from runs import OTHER, OWNER, Runs, step_started, two_steps

DATA = b"x" * (2 * CHUNK_BYTES + 1)
LARGE = "y" * (MAX_INLINE_BYTES + 1)
ANY_AGE = timedelta(seconds=-1)
BYTES = ("media.files", "media.chunks", "files.files", "files.chunks")
OF_RUNS = {
    "branches",
    "content_generation_metadata",
    "events",
    "generated_content",
    "snapshots",
    "tokens",
    "workflow_files",
    "workflow_run_versions",
    "workflow_runs",
    *BYTES,
}


class KilledError(Exception):
    """The host is no more."""


class Death:
    """A part of runs at which the host is killed."""

    def __init__(self, _: Database) -> None:
        pass

    async def delete_run(self, run_id: str, *, owner_id: str) -> int:
        raise KilledError(run_id, owner_id)


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


async def rich_run(runs: Runs, project: str = "film") -> Run:
    """Make a run with all that can hang on one, child runs that have made something too, and live tasks."""
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
    for maker in (run, grandchild):
        await make_things(runs, maker)
    return run


async def make_things(runs: Runs, run: Run) -> None:
    """Let a task that goes on make items, and write small and large files and usage."""
    contents, files, tokens = _keepers(runs)
    await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, queue=run.id, run_id=run.id))
    (task,) = await runs.queue.claim(Claimer(worker_id="w1", queues=(run.id,), handlers=("echo@1",)))
    lease, origin = Lease.of(task), Origin(run_id=run.id)
    await contents.begin(lease, task, operation="draw", provider="local", source_data={}, origin=origin)
    for seq, key in enumerate(("preview", "picture")):
        item = NewContent(
            key=key, kind=ContentKind.IMAGE, role=key, media_type="image/png", filename=f"{key}.png", data=DATA
        )
        await contents.store(lease, task, item, seq=seq)
    for name, text in (("small.txt", "hello"), ("large.txt", LARGE)):
        new = NewFile(run_id=run.id, branch_id=run.branch_id, category=FileCategory.OUTPUTS, name=name, content=text)
        await files.put(new, owner_id=OWNER)
    usage = NewUsage(provider="p", model="m", operation="draw", cost=Decimal("0.1"), run_id=run.id)
    await tokens.record(usage, owner_id=OWNER)


def _keepers(runs: Runs) -> tuple[ContentRepository, FileRepository, TokenRepository]:
    return ContentRepository(runs.database), FileRepository(runs.database), TokenRepository(runs.database)


async def made_by(runs: Runs, run: Run) -> list[object]:
    """Return all that ``make_things`` has made of a run, bytes included."""
    contents, files, tokens = _keepers(runs)
    (generation,) = await contents.list_for_run(run.id, owner_id=OWNER)
    listed = await files.page(run.id, owner_id=OWNER)
    texts = [(await files.get(file.id, owner_id=OWNER)).text for file in listed]
    used = await tokens.totals(owner_id=OWNER, wanted=UsageFilter(run_id=run.id))
    return [generation, await _bytes_of(contents, generation.items), listed, texts, used]


async def _bytes_of(contents: ContentRepository, items: Iterable[Content]) -> list[bytes]:
    return [b"".join([part async for part in contents.read(item)]) for item in items]


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
    assert (await rows_left(runs)).keys() == OF_RUNS
    await runs.workflows.delete(run.id, owner_id=OWNER)

    assert await rows_left(runs) == {}
    tasks = await runs.queue.find(TaskFilter(owner_id=OWNER))
    assert [task.state for task in tasks] == [TaskState.CANCELLED] * 5
    with pytest.raises(NotFoundError):
        await runs.workflows.delete(run.id, owner_id=OWNER)


async def test_other_runs_stay_as_they_are(runs: Runs) -> None:
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
async def test_a_deletion_that_is_cut_off_is_finished_by_anybody(
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
    assert (await rows_left(runs)) == {"branches": 1, "events": 1, "workflow_runs": 1}


@pytest.mark.parametrize(("survived", "orphans"), [(0, 2), (1, 1), (2, 1)])
async def test_bytes_of_a_run_whose_host_was_killed_at_them_are_swept(
    runs: Runs, survived: int, orphans: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, kept = await rich_run(runs), await rich_run(runs, "other")
    before = await made_by(runs, kept)
    deleted = 0
    delete = MediaStore.delete

    async def die(media: MediaStore, file_id: str) -> None:
        nonlocal deleted
        if deleted == survived:
            raise KilledError(file_id)
        deleted += 1
        await delete(media, file_id)

    with monkeypatch.context() as patch:
        patch.setattr(MediaStore, "delete", die)
        with pytest.raises(KilledError):
            await runs.workflows.delete(run.id, owner_id=OWNER)

    assert await runs.workflows.sweep() > 0
    # Bytes that no document names any more wait for the sweeps of their own, which come a day later.
    contents, files, _ = _keepers(runs)
    swept = await contents.sweep(older_than=ANY_AGE) + await files.sweep(older_than=ANY_AGE)
    assert swept == orphans
    assert await made_by(runs, kept) == before
    await runs.workflows.delete(kept.id, owner_id=OWNER)
    assert await rows_left(runs) == {}


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
