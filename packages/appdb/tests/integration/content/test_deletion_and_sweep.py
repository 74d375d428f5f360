"""Deleting and sweeping: what is deleted does not come back, and what somebody names or still writes is not swept."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from appdb import (
    Claimer,
    ConflictError,
    ContentRepository,
    Database,
    Lease,
    LeaseLostError,
    NewTask,
    NotFoundError,
    Task,
    TaskEventType,
    TaskQueue,
    TaskState,
)
from appdb.content.stored_bytes import CHUNK_BYTES, ByteStore
from appdb.models import Content, ContentKind, NewContent, Origin
from appdb.utils import uuid7_at
from appsupport.runs.run_repositories import open_run

OWNER, OTHER, RUN = "usr_a", "usr_b", "wf_1"
CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))
DATA = b"x" * 700_000
AGE = timedelta(hours=1)
ROUNDS = 50


@pytest.fixture
def queue(database: Database) -> TaskQueue:
    return TaskQueue(database, lease=timedelta(seconds=60))


@pytest.fixture
async def contents(database: Database) -> ContentRepository:
    await open_run(database, RUN)
    return ContentRepository(database)


def item(key: str = "picture", data: bytes | Path = b"x", **more: Any) -> NewContent:
    given: dict[str, Any] = {"kind": ContentKind.IMAGE, "role": "picture", "media_type": "image/png", "filename": "f"}
    return NewContent(key=key, data=data, **given | more)


async def begun(queue: TaskQueue, contents: ContentRepository, run_id: str = RUN) -> Task:
    await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}))
    (task,) = await queue.claim(CLAIMER)
    origin = Origin(run_id=run_id)
    await contents.begin(Lease.of(task), task, operation="o", provider="p", source_data={}, origin=origin)
    return task


async def left(database: Database) -> dict[str, int]:
    names = ["content_generation_metadata", "generated_content", "media.files", "media.chunks"]
    return {name: await database.collection(name).count_documents({}) for name in names}


NOTHING = {"content_generation_metadata": 0, "generated_content": 0, "media.files": 0, "media.chunks": 0}


async def test_item_is_deleted_with_bytes_after_task(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    task = await begun(queue, contents)
    content = await contents.store(Lease.of(task), task, item(data=DATA), seq=0)
    with pytest.raises(ConflictError, match="cancel"):
        await contents.delete(content.id, owner_id=OWNER)
    await queue.complete(Lease.of(task))
    with pytest.raises(NotFoundError):
        await contents.delete(content.id, owner_id=OTHER)
    await contents.delete(content.id, owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await contents.delete(content.id, owner_id=OWNER)

    assert await left(database) == NOTHING | {"content_generation_metadata": 1}


async def test_item_of_pruned_task_can_be_deleted(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    task = await begun(queue, contents)
    content = await contents.store(Lease.of(task), task, item(), seq=0)
    await queue.complete(Lease.of(task))
    assert await queue.prune(older_than=timedelta(0)) == 1

    (listed,) = await contents.list_for_run(RUN, owner_id=OWNER)
    assert listed.items == [content]
    await contents.delete(content.id, owner_id=OWNER)
    await contents.delete_generation(listed.id, owner_id=OWNER)
    assert await left(database) == NOTHING


async def test_preview_goes_with_last_item(contents: ContentRepository, queue: TaskQueue, database: Database) -> None:
    task = await begun(queue, contents)
    keys: list[tuple[str, str | None]] = [("small", None), ("a", "small"), ("b", "small"), ("c", "a")]
    made = {
        key: await contents.store(Lease.of(task), task, item(key, preview_key=preview), seq=seq)
        for seq, (key, preview) in enumerate(keys)
    }
    await queue.complete(Lease.of(task))
    await contents.delete(made["a"].id, owner_id=OWNER)

    assert (await contents.get(made["c"].id, owner_id=OWNER)).preview_id is None
    assert (await contents.get(made["b"].id, owner_id=OWNER)).preview_id == made["small"].id
    await contents.delete(made["b"].id, owner_id=OWNER)
    assert [content.key for content in await contents.list_for_task(task.id, owner_id=OWNER)] == ["c"]
    assert (await left(database))["media.files"] == 1


async def test_deleting_generation_cancels_task_and_children(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    task = await begun(queue, contents)
    lease = Lease.of(task)
    child = await queue.spawn(lease, "child", NewTask(owner_id=OWNER, actor="echo", payload={}))
    await contents.store(lease, task, item(data=DATA), seq=0)
    generation = await contents.generation(task.id, owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await contents.delete_generation(generation.id, owner_id=OTHER)
    await contents.delete_generation(generation.id, owner_id=OWNER)
    with pytest.raises(LeaseLostError):
        await contents.store(lease, task, item("late", DATA), seq=1)
    with pytest.raises(LeaseLostError):
        await contents.begin(lease, task, operation="o", provider="p", source_data={})

    assert await left(database) == NOTHING
    for task_id in (task.id, child):
        assert (await queue.get(task_id, owner_id=OWNER)).state is TaskState.CANCELLED
        assert (await queue.events(task_id))[-1].type is TaskEventType.CANCELLED
    with pytest.raises(NotFoundError):
        await contents.delete_generation(generation.id, owner_id=OWNER)


async def test_item_deleted_while_stored_stays_deleted(
    contents: ContentRepository, queue: TaskQueue, database: Database, mongo_uri: str
) -> None:
    rng = random.Random(4)
    async with Database(mongo_uri, database.name) as second:
        for _ in range(ROUNDS):
            task = await begun(queue, contents)
            generation = await contents.generation(task.id, owner_id=OWNER)
            storing = asyncio.create_task(_store_until_refused(contents, task))
            await asyncio.sleep(rng.uniform(0, 0.03))
            await ContentRepository(second).delete_generation(generation.id, owner_id=OWNER)
            await storing

            assert await left(database) == NOTHING


async def _store_until_refused(contents: ContentRepository, task: Task) -> None:
    for seq in range(1_000):
        try:
            await contents.store(Lease.of(task), task, item(f"{seq % 3}"), seq=seq)
        except LeaseLostError:
            return
    raise AssertionError("nothing refused the storing of what was deleted")


async def test_deletion_for_run_spares_others(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    for run_id in [*[RUN] * 23, await open_run(database, "wf_2")]:
        task = await begun(queue, contents, run_id)
        await contents.store(Lease.of(task), task, item(), seq=0)
        if run_id != RUN:
            await queue.complete(Lease.of(task))

    assert await contents.delete_run(RUN, owner_id=OTHER) == 0
    assert await contents.delete_run(RUN, owner_id=OWNER) == 23
    assert await contents.delete_run(RUN, owner_id=OWNER) == 0
    assert await contents.list_for_run(RUN, owner_id=OWNER) == []
    assert len(await contents.list_for_run("wf_2", owner_id=OWNER)) == 1
    assert await left(database) == dict.fromkeys(NOTHING, 1)


async def test_aborted_transaction_keeps_deleted_bytes(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    task = await begun(queue, contents)
    content = await contents.store(Lease.of(task), task, item(data=DATA), seq=0)

    async def body(session: Any) -> None:
        assert await contents.delete_run(RUN, owner_id=OWNER, session=session) == 1
        raise LookupError

    with pytest.raises(LookupError):
        await database.transaction(body)

    assert b"".join([part async for part in contents.read(content)]) == DATA
    assert (await queue.get(task.id, owner_id=OWNER)).state is TaskState.PROCESSING


async def _lost(database: Database, age: timedelta) -> str:
    """Leave what a killed worker leaves: chunks without a file."""
    file_id = uuid7_at("file_", await database.server_time() - age)
    chunks = [{"files_id": file_id, "n": n, "data": b"x" * 1_000} for n in range(3)]
    await database.collection("media.chunks").insert_many(chunks)
    return file_id


async def test_concurrent_sweeps_spare_upload_in_progress(
    contents: ContentRepository, queue: TaskQueue, database: Database, mongo_uri: str, tmp_path: Path
) -> None:
    task = await begun(queue, contents)
    kept = await contents.store(Lease.of(task), task, item("kept", DATA), seq=0)
    lost = [await _lost(database, 2 * AGE) for _ in range(40)]
    large = tmp_path / "large"
    large.write_bytes(b"y" * (40 * CHUNK_BYTES))
    async with Database(mongo_uri, database.name) as second:
        uploading = asyncio.create_task(contents.store(Lease.of(task), task, item("new", large), seq=1))
        while not uploading.done():
            await asyncio.gather(
                *[repository.sweep(older_than=AGE, limit=7) for repository in (contents, ContentRepository(second))]
            )
        stored = await uploading
        for _ in range(20):
            await contents.sweep(older_than=AGE, limit=7)

    assert await database.collection("media.chunks").count_documents({"files_id": {"$in": lost}}) == 0
    assert b"".join([part async for part in contents.read(stored)]) == large.read_bytes()
    assert b"".join([part async for part in contents.read(kept)]) == DATA
    assert await contents.sweep(older_than=AGE) == 0


async def test_sweep_covers_everything_by_parts(contents: ContentRepository, database: Database) -> None:
    for _ in range(10):
        await _lost(database, 2 * AGE)
    young = await _lost(database, AGE / 2)

    assert [await contents.sweep(older_than=AGE, limit=4) for _ in range(4)] == [4, 4, 2, 0]
    late = await _lost(database, 3 * AGE)
    assert sum([await contents.sweep(older_than=AGE, limit=4) for _ in range(2)]) == 1
    assert await database.collection("media.chunks").distinct("files_id") == [young]
    assert late != young


async def test_unnamed_uploads_are_swept_by_servers_clock(contents: ContentRepository, database: Database) -> None:
    media = ByteStore(database)
    for data in (b"", DATA):
        await media.upload_bytes(data, filename="f", metadata={})

    assert await contents.sweep(older_than=AGE) == 0
    assert await contents.sweep(older_than=timedelta(seconds=-1)) == 2
    assert await left(database) == NOTHING


async def test_sweep_deletes_items_of_deleted_generation(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    stored: list[Content] = []
    for _ in range(3):
        task = await begun(queue, contents)
        stored.append(await contents.store(Lease.of(task), task, item(data=DATA), seq=0))
    lost, older, kept = stored
    gone = [content.generation_id for content in (lost, older)]
    await database.collection("content_generation_metadata").delete_many({"_id": {"$in": gone}})
    await database.collection("generated_content").update_one({"_id": older.id}, {"$unset": {"in_generation": ""}})

    assert await contents.sweep(older_than=AGE) == 0
    assert await contents.sweep(older_than=timedelta(0)) == 1
    for content in (older, kept):
        assert b"".join([part async for part in contents.read(content)]) == DATA
    with pytest.raises(NotFoundError):
        await contents.get(lost.id, owner_id=OWNER)
    assert (await left(database))["media.files"] == 2


async def test_older_releases_documents_are_read_and_deleted(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    task = await begun(queue, contents)
    content = await contents.store(Lease.of(task), task, item(), seq=0)
    await queue.complete(Lease.of(task))
    new = ["decoded_type", "preview_id", "is_preview", "in_generation"]
    await database.collection("generated_content").update_many({}, {"$unset": dict.fromkeys(new, "")})
    new = ["run_id", "interaction_id", "prompt_id", "provider_task_id", "usage", "error"]
    await database.collection("content_generation_metadata").update_many({}, {"$unset": dict.fromkeys(new, "")})
    (listed,) = await contents.list_for_owner(owner_id=OWNER)

    assert [found.id for found in listed.items] == [content.id]
    await contents.delete(content.id, owner_id=OWNER)
    await contents.delete_generation(listed.id, owner_id=OWNER)
    assert await left(database) == NOTHING
