"""ContentRepository against a real server: bytes first, then their name; replaced and never doubled."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from gridfs import GridFSBucket
from pymongo import MongoClient

from appdb import (
    Claimer,
    ContentRepository,
    Database,
    DatabaseRefusedError,
    InvalidDataError,
    Lease,
    LeaseLostError,
    NewTask,
    NotFoundError,
    Task,
    TaskEventType,
    TaskQueue,
)
from appdb.content.stored_bytes import CHUNK_BYTES
from appdb.models import Content, ContentKind, GenerationStatus, NewContent
from appsupport.mongo.fail_points import fail_point

OWNER = "usr_a"
READER = "content-reader"
UNAUTHORIZED = 13
DATA = bytes(range(256)) * 4_000


@pytest.fixture
def queue(database: Database) -> TaskQueue:
    return TaskQueue(database, lease=timedelta(seconds=30))


@pytest.fixture
def contents(database: Database) -> ContentRepository:
    return ContentRepository(database)


@pytest.fixture
async def task(queue: TaskQueue) -> Task:
    await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={"text": "hello"}))
    (task,) = await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    return task


def item(key: str = "picture", data: bytes | Path = DATA, index: int = 0) -> NewContent:
    return NewContent(
        key=key,
        kind=ContentKind.IMAGE,
        role="picture",
        media_type="image/png",
        filename="picture.png",
        data=data,
        index=index,
    )


async def read(contents: ContentRepository, content: Content, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([part async for part in contents.read(content, start=start, end=end)])


async def stored_files(database: Database) -> int:
    return await database.collection("media.files").count_documents({})


async def test_stored_bytes_come_back_whole_and_by_range(contents: ContentRepository, task: Task) -> None:
    content = await contents.store(Lease.of(task), task, item(), seq=0)

    assert (content.size, content.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert await read(contents, content) == DATA
    for start, end in [(0, 1), (255 * 1024 - 1, 255 * 1024 + 1), (700_000, 10**9), (len(DATA), None)]:
        assert await read(contents, content, start, end) == DATA[start:end]


async def test_paused_reader_holds_no_cursor(contents: ContentRepository, task: Task, database: Database) -> None:
    content = await contents.store(Lease.of(task), task, item(data=DATA * 8), seq=0)
    await database.raw.command({"profile": 2})
    reading = contents.read(content)
    first = await anext(reading)
    asked = {"ns": f"{database.name}.media.chunks"}
    paused = [row async for row in database.raw["system.profile"].find(asked)]
    rest = [part async for part in reading]
    await database.raw.command({"profile": 0})

    assert sum(row["nreturned"] for row in paused) == 2
    assert not any("cursorid" in row for row in paused)
    assert {row["planSummary"] for row in paused} == {"IXSCAN { files_id: 1, n: 1 }"}
    assert b"".join([first, *rest]) == DATA * 8


async def test_upload_proceeds_in_small_steps(contents: ContentRepository, task: Task, database: Database) -> None:
    await contents.store(Lease.of(task), task, item(), seq=0)  # the first of all makes the index
    await database.raw.command({"profile": 2})
    content = await contents.store(Lease.of(task), task, item(data=DATA * 8), seq=1)
    await database.raw.command({"profile": 0})
    written = {"ns": f"{database.name}.media.chunks", "op": "insert"}
    steps = [row["ninserted"] async for row in database.raw["system.profile"].find(written)]

    assert sum(steps) == -(-len(DATA) * 8 // CHUNK_BYTES)
    assert max(steps) * CHUNK_BYTES <= 2 * 1024 * 1024
    assert await read(contents, content) == DATA * 8


async def test_upload_is_readable_by_any_gridfs_reader(
    contents: ContentRepository, task: Task, database: Database, mongo_uri: str
) -> None:
    content = await contents.store(Lease.of(task), task, item(data=DATA * 4), seq=0)
    with MongoClient[dict[str, object]](mongo_uri, tz_aware=True) as client:
        file = GridFSBucket(client[database.name], "media").open_download_stream(content.file_id)
        found = (file.length, file.chunk_size, file.filename, file.read())
        indexes = client[database.name]["media.chunks"].index_information()

    assert found == (len(DATA) * 4, CHUNK_BYTES, content.filename, DATA * 4)
    assert indexes["files_id_1_n_1"]["unique"] is True


async def test_aborted_upload_leaves_nothing(contents: ContentRepository, task: Task, database: Database) -> None:
    admin, refused = database.raw.client.admin, {"failCommands": ["insert"], "errorCode": 8000}
    point = {"configureFailPoint": "failCommand", "data": refused | {"namespace": f"{database.name}.media.chunks"}}
    await admin.command(point | {"mode": {"skip": 2}})
    try:
        with pytest.raises(DatabaseRefusedError):
            await contents.store(Lease.of(task), task, item(data=DATA * 8), seq=0)
    finally:
        await admin.command(point | {"mode": "off"})

    assert await database.collection("media.chunks").count_documents({}) == 0
    assert await stored_files(database) == 0


async def test_file_is_streamed_like_bytes(contents: ContentRepository, task: Task, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(DATA)
    content = await contents.store(Lease.of(task), task, item(data=file), seq=0)

    assert await read(contents, content) == DATA


async def test_empty_content_is_stored(contents: ContentRepository, task: Task) -> None:
    content = await contents.store(Lease.of(task), task, item(data=b""), seq=0)

    assert (content.size, await read(contents, content)) == (0, b"")


async def test_storing_again_replaces_item(contents: ContentRepository, task: Task, database: Database) -> None:
    first = await contents.store(Lease.of(task), task, item(), seq=0)
    second = await contents.store(Lease.of(task), task, item(data=b"other"), seq=1)

    assert first.id == second.id
    assert [found.sha256 for found in await contents.list_for_task(task.id, owner_id=OWNER)] == [second.sha256]
    assert await stored_files(database) == 1
    with pytest.raises(NotFoundError):
        await read(contents, first)


async def test_content_and_event_appear_together(contents: ContentRepository, queue: TaskQueue, task: Task) -> None:
    content = await contents.store(Lease.of(task), task, item(), seq=0)
    (event,) = await queue.events(task.id)

    assert (event.type, event.data["content_id"]) == (TaskEventType.CONTENT, content.id)


async def test_lost_lease_cannot_store_content(
    contents: ContentRepository, queue: TaskQueue, task: Task, database: Database
) -> None:
    await queue.cancel(task.id, owner_id=OWNER)
    with pytest.raises(LeaseLostError):
        await contents.store(Lease.of(task), task, item(), seq=0)
    with pytest.raises(LeaseLostError):
        await contents.begin(Lease.of(task), task, operation="o", provider="p", source_data={})

    assert await contents.list_for_task(task.id, owner_id=OWNER) == []
    assert await stored_files(database) == 0
    assert await database.collection("media.chunks").count_documents({}) == 0


async def test_missing_file_stores_nothing(
    contents: ContentRepository, task: Task, database: Database, tmp_path: Path
) -> None:
    with pytest.raises(InvalidDataError, match="data: the file cannot be read"):
        await contents.store(Lease.of(task), task, item(data=tmp_path / "missing"), seq=0)

    assert await stored_files(database) == 0


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
async def test_generation_ends_with_its_task(
    contents: ContentRepository, queue: TaskQueue, task: Task, end: str
) -> None:
    lease = Lease.of(task)
    await contents.begin(lease, task, operation="script2video", provider="p", source_data={"$set": "x"})
    pending = await contents.generation(task.id, owner_id=OWNER)
    if end == "complete":
        await queue.complete(lease)
    elif end == "fail":
        await queue.fail(lease, "Broken", "no", retry_in=None)
    else:
        await queue.cancel(task.id, owner_id=OWNER)
    final = await contents.generation(task.id, owner_id=OWNER)

    assert (pending.status, pending.request) == (GenerationStatus.PENDING, {"text": "hello"})
    expected = {"complete": "completed", "fail": "failed", "cancel": "cancelled"}[end]
    assert final.status == GenerationStatus(expected)
    assert final.completed_at is not None


async def test_another_owner_finds_nothing(contents: ContentRepository, task: Task) -> None:
    content = await contents.store(Lease.of(task), task, item(), seq=0)
    with pytest.raises(NotFoundError):
        await contents.get(content.id, owner_id="usr_b")
    with pytest.raises(NotFoundError):
        await contents.generation(task.id, owner_id="usr_b")

    assert await contents.list_for_task(task.id, owner_id="usr_b") == []
    assert await contents.page(owner_id="usr_b") == []


async def test_pages_hold_every_item_once_newest_first(contents: ContentRepository, task: Task) -> None:
    made = [(await contents.store(Lease.of(task), task, item(f"k{n}", b"x", n), seq=n)).id for n in range(7)]
    seen: list[str] = []
    while page := await contents.page(owner_id=OWNER, limit=3, before=seen[-1] if seen else None):
        seen += [content.id for content in page]

    assert sorted(seen) == sorted(made)
    assert len(set(seen)) == 7


async def test_store_with_lost_answer_can_be_repeated(
    contents: ContentRepository, queue: TaskQueue, task: Task, database: Database
) -> None:
    lease = Lease.of(task)
    first = await contents.store(lease, task, item(), seq=0)
    again = await contents.store(lease, task, item(), seq=0)

    assert again == first
    assert await read(contents, again) == DATA
    assert await stored_files(database) == 1
    assert len(await queue.events(task.id)) == 1


async def test_byte_stream_raises_no_driver_error(
    contents: ContentRepository, task: Task, database: Database, mongo_uri: str
) -> None:
    content = await contents.store(Lease.of(task), task, item(), seq=0)
    async with Database(mongo_uri, database.name, app_name=READER) as opened:
        async with fail_point(database, READER, ["find"], errorCode=UNAUTHORIZED):
            with pytest.raises(DatabaseRefusedError):
                await read(ContentRepository(opened), content)

        assert await read(ContentRepository(opened), content) == DATA
