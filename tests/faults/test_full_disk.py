"""Disks fill up: the database's, then the folder for a worker's temporary files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from appdb import ContentRepository, Database, DatabaseUnavailableError, NewTask, TaskEventType, TaskQueue, TaskState
from appsupport.faults.fault_bounds import QUICK_ELECTION
from appsupport.faults.replica_set_workers import StartWorker
from appsupport.hosts.live_tasks import OWNER, Tasks
from appsupport.mongo.replica_set import Node, ReplicaSet, ReplicaSetOptions, fresh_database, replica_set
from appsupport.mongo.replica_set_processes import ProcessNode
from appsupport.mongo.small_disk import disk_problem, fill, small_disk
from appsupport.queue.queue_load import QueueLoad

PROGRESS = 20
MONGOD_MEGABYTES = 420
TEMPORARY_MEGABYTES = 8
LEFT_BYTES = 32 * 1024
SCRIPT = "This is a scene. It says a little.\n\nThis is another scene, and then it is over."


@pytest.fixture
def small_disks() -> Iterator[ReplicaSet]:
    """A set of three whose disks are small."""
    _skip_without_small_disks()
    options = ReplicaSetOptions(election=QUICK_ELECTION, disk_megabytes=MONGOD_MEGABYTES, ways=("processes",))
    with replica_set(options) as started:
        yield started


@pytest.fixture
def full_folder(tmp_path: Path) -> Iterator[Path]:
    """A small folder that is full but for a little."""
    _skip_without_small_disks()
    with small_disk(tmp_path / "temporary", TEMPORARY_MEGABYTES) as folder:
        fill(folder, leave=LEFT_BYTES)
        yield folder


def _skip_without_small_disks() -> None:
    if (problem := disk_problem()) is not None:
        pytest.skip(f"NO DISK CAN BE FILLED HERE: {problem}")


@pytest.mark.timeout(300)
async def test_full_database_disk_loses_nothing(small_disks: ReplicaSet) -> None:
    async with fresh_database(small_disks.uri) as database:
        async with QueueLoad(TaskQueue(database)) as load:
            first = await asyncio.to_thread(_fill_primary, small_disks)
            await load.until_acknowledged(PROGRESS)
            second = await asyncio.to_thread(_fill_primary, small_disks)
            with pytest.raises(DatabaseUnavailableError, match="the database did not answer"):
                await TaskQueue(database).enqueue(NewTask(owner_id=OWNER, actor="nobody", payload={}))
            for ballast in (first, second):
                ballast.unlink()
            await asyncio.to_thread(small_disks.mend)
            await load.until_acknowledged(PROGRESS)
        print(load.summary())  # noqa: T201 - shown on failure, or with -s

        await load.record.check(database)


def _fill_primary(nodes: ReplicaSet) -> Path:
    """Fill the disk of the primary, have it write to it, and return what fills it once the primary has given up."""
    primary = _process(nodes.primary())
    ballast = fill(primary.data)
    with suppress(PyMongoError):  # it gives up while it is asked
        nodes.command("fsync")
    primary.wait()
    return ballast


def _process(node: Node) -> ProcessNode:
    assert isinstance(node, ProcessNode)
    return node


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("actors", "actor", "payload"),
    [
        ("replica_set_actors:filing", "filing", {"kibibytes": 512}),
        ("media", "media", {"operation": "script2video", "script": SCRIPT, "width": 320, "height": 180}),
    ],
    ids=["a file", "the media actor"],
)
async def test_full_temporary_folder_fails_attempt_only(
    replica_set_database: Database,
    start_replica_set_worker: StartWorker,
    full_folder: Path,
    actors: str,
    actor: str,
    payload: dict[str, Any],
) -> None:
    await asyncio.to_thread(start_replica_set_worker, actors=actors, TMPDIR=str(full_folder))
    tasks = Tasks(replica_set_database)
    task = await tasks.queue.enqueue(
        NewTask(owner_id=OWNER, actor=actor, queue=_queue(actor), payload=payload, max_attempts=9)
    )
    failed = await tasks.until(task, lambda found: found.error is not None, 60)
    (full_folder / "ballast").unlink()
    done = await tasks.final(task, 120)

    assert failed.error is not None
    assert "No space left on device" in failed.error.message
    assert done.state is TaskState.COMPLETED
    log = await tasks.queue.events(task.id)
    assert [event.type for event in log].count(TaskEventType.RETRYING) == done.attempt - 1
    contents = await ContentRepository(replica_set_database).list_for_task(task.id, owner_id=OWNER)
    assert contents
    assert {content.attempt for content in contents} == {done.attempt}


def _queue(actor: str) -> str:
    return "media" if actor == "media" else "default"
