"""Runs with documents of every kind that belongs to a run, and the documents left after a deletion."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from appdb import Claimer, ContentRepository, Database, FileRepository, Lease, NewTask, Task, TokenRepository
from appdb.content.run_files import MAX_INLINE_BYTES
from appdb.content.stored_bytes import CHUNK_BYTES
from appdb.models import Content, ContentKind, FileCategory, NewContent, NewFile, NewUsage, Origin, Run, UsageFilter
from appsupport.runs.run_events import step_started, two_steps
from appsupport.runs.run_repositories import OWNER, Runs

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
    "workflow_files",
    "workflow_run_versions",
    "workflow_runs",
    *BYTES,
}
MARKS = {"workflow_runs": 3}
"""What stays of a run, its child and its grandchild for a day."""


class KilledError(Exception):
    """The host is no more."""


class Death:
    """A part of runs at which the host is killed."""

    def __init__(self, _: Database) -> None:
        pass

    async def delete_of_run(self, run_id: str, owner_id: str) -> int:
        raise KilledError(run_id, owner_id)


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
    contents, files, tokens = keepers(runs)
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


def keepers(runs: Runs) -> tuple[ContentRepository, FileRepository, TokenRepository]:
    return ContentRepository(runs.database), FileRepository(runs.database), TokenRepository(runs.database)


async def made_by(runs: Runs, run: Run) -> list[object]:
    """Return all that ``make_things`` has made of a run, bytes included."""
    contents, files, tokens = keepers(runs)
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
        if name not in ("config", "migrations", "tasks", "task_events", "tokens")
    ]
    counts = {name: await runs.database.collection(name).count_documents({}) for name in names}
    return {name: count for name, count in counts.items() if count}


async def held_task(runs: Runs, queue: str = "held") -> tuple[Task, Lease]:
    """Return a task of no run that is held, the only one of its queue."""
    await runs.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, queue=queue))
    (task,) = await runs.queue.claim(Claimer(worker_id="w1", queues=(queue,), handlers=("echo@1",)))
    return task, Lease.of(task)
