"""What each earlier release stored is still read, and what a newer one may have added survives every write."""

from __future__ import annotations

from datetime import timedelta

import pytest

from appdb import (
    Claimer,
    ContentRepository,
    Database,
    Lease,
    Limit,
    NewEvent,
    RegistryRepository,
    ScheduleRepository,
    TaskEventType,
    TaskQueue,
    TaskState,
    UserRepository,
)
from appdb.models.content import ContentKind, NewContent
from appdb.models.registry import AnnouncedActor, AnnouncedWorker
from appdb.models.schedule import NewSchedule
from released import documents, key_of, restore

VERSIONS = ["0.1", "0.2"]
NEWER = {"of_a_newer_release": {"a.b": "$x", "n": 1}}
FIELD = next(iter(NEWER))
PAYLOAD = {"text": "$lease.token", "a.b": {"$gt": ""}}
CLAIMER = Claimer(worker_id="wrk_2", queues=("default",), handlers=("echo@1",))


@pytest.fixture(params=VERSIONS)
async def version(empty: Database, request: pytest.FixtureRequest) -> str:
    """A release, whose documents are in the migrated database, each with a field that no release knows yet."""
    await restore(empty, request.param, **NEWER)
    await empty.migrate()
    return str(request.param)


def owner_of(version: str) -> str:
    return str(documents(version, "users")[0]["_id"])


async def test_tasks_and_their_logs_are_read(empty: Database, version: str) -> None:
    queue, owner = TaskQueue(empty), owner_of(version)
    stored = documents(version, "tasks")
    tasks = await queue.page(owner_id=owner, limit=50)

    assert {task.id for task in tasks} == {row["_id"] for row in stored}
    assert {task.state for task in tasks} == set(TaskState)
    assert all(task.payload == PAYLOAD for task in tasks)
    for task in tasks:
        events = await queue.events(task.id)
        assert [event.seq for event in events] == list(range(task.event_count))
        assert await queue.get(task.id, owner_id=owner) == task


async def test_contents_and_their_bytes_are_read(empty: Database, version: str) -> None:
    contents, owner = ContentRepository(empty), owner_of(version)
    (content,) = await contents.page(owner_id=owner)
    generation = await contents.generation(content.task_id, owner_id=owner)

    assert await contents.list_for_task(content.task_id, owner_id=owner) == [content]
    assert b"".join([part async for part in contents.read(content)]) == b"\x89PNG not really"
    assert (generation.request, generation.operation) == (PAYLOAD, "txt2img")
    assert (content.caption, content.seed) == ("A cat.", 7)


async def test_users_and_their_keys_are_known(empty: Database, version: str) -> None:
    assert await UserRepository(empty).user_of_key(key_of(version)) == owner_of(version)


@pytest.mark.usefixtures("version")
async def test_actors_and_workers_are_read(empty: Database) -> None:
    registry = RegistryRepository(empty)

    assert [actor.id for actor in await registry.actors()] == ["echo"]
    assert (await registry.actor("echo")).payload_schema == {"type": "object"}
    assert [worker.id for worker in await registry.workers()] == ["wrk_1"]


async def test_what_an_earlier_release_enqueued_is_claimed_and_done(empty: Database, version: str) -> None:
    queue, owner = TaskQueue(empty), owner_of(version)
    waiting = {task.id for task in await queue.page(owner_id=owner, states=[TaskState.QUEUED])}
    (task,) = await queue.claim(CLAIMER, limit=1)
    await queue.complete(Lease.of(task), {"ok": True})

    assert task.id in waiting
    assert (await queue.get(task.id, owner_id=owner)).state is TaskState.COMPLETED


async def test_unknown_fields_of_tasks_survive_all_that_happens_to_them(empty: Database, version: str) -> None:
    queue, owner = TaskQueue(empty), owner_of(version)
    tasks = {task.state: task for task in await queue.page(owner_id=owner, limit=50)}
    await queue.recover()
    await queue.promote()
    await queue.retry(tasks[TaskState.SCHEDULED].id, owner_id=owner)
    await queue.adopt()
    first = NewEvent(type=TaskEventType.PROGRESS, data={"fraction": 0.1, "message": ""})
    while claimed := await queue.claim(CLAIMER, limit=1):
        (task,) = claimed
        lease = Lease.of(task)
        await queue.extend([lease])
        await queue.record(lease, [first], seq=(await queue.get(task.id, owner_id=owner)).event_count)
        await queue.complete(lease, {"ok": True})
    for task in await queue.page(owner_id=owner, states=[TaskState.SCHEDULED, TaskState.PROCESSING], limit=50):
        await queue.cancel(task.id, owner_id=owner)
    ids = [row["_id"] for row in documents(version, "tasks")]
    rows = [row async for row in empty.collection("tasks").find({"_id": {"$in": ids}})]

    assert len(rows) == len(ids)
    assert all(row[FIELD] == NEWER[FIELD] for row in rows)
    assert all(TaskState(row["state"]).final for row in rows)


async def test_unknown_fields_of_content_survive_a_repeated_run(empty: Database, version: str) -> None:
    queue, contents, owner = TaskQueue(empty), ContentRepository(empty), owner_of(version)
    (content,) = await contents.page(owner_id=owner)
    await empty.collection("tasks").update_one(
        {"_id": content.task_id}, {"$set": {"state": "queued", "finished_at": None, "priority": 99}}
    )
    while (task := (await queue.claim(CLAIMER, limit=1))[0]).id != content.task_id:
        await queue.complete(Lease.of(task), {"ok": True})
    lease = Lease.of(task)
    await contents.begin(lease, task, provider="local", operation="txt2img", source_data={"run": 2})
    task = await queue.get(task.id, owner_id=owner)
    await contents.store(
        lease,
        task,
        NewContent(
            key="image",
            kind=ContentKind.IMAGE,
            role="result",
            media_type="image/png",
            filename="b.png",
            data=b"other",
        ),
        seq=task.event_count,
    )

    for collection in ("generated_content", "content_generation_metadata"):
        (row,) = [row async for row in empty.collection(collection).find()]
        assert row[FIELD] == NEWER[FIELD], collection
    assert (await contents.get(content.id, owner_id=owner)).filename == "b.png"


@pytest.mark.usefixtures("version")
async def test_unknown_fields_of_actors_and_workers_survive_their_announcement(empty: Database) -> None:
    worker = AnnouncedWorker(id="wrk_1", host="other", pid=8, queues=["default"], actors=["echo@1"], slots=1)
    actor = AnnouncedActor(
        name="echo",
        version=2,
        queue="default",
        description="Repeats.",
        payload_schema={},
        max_attempts=1,
        timeout_seconds=5,
    )
    await RegistryRepository(empty).announce(worker, [actor])

    for collection in ("actors", "workers"):
        (row,) = [row async for row in empty.collection(collection).find()]
        assert row[FIELD] == NEWER[FIELD], collection
    assert (await RegistryRepository(empty).actor("echo")).version == 2


async def test_unknown_fields_of_schedules_queues_and_limits_survive(empty: Database) -> None:
    await restore(empty, "0.2", **NEWER)
    await empty.migrate()
    queue, schedules, owner = TaskQueue(empty), ScheduleRepository(empty), owner_of("0.2")
    await queue.resume("other")
    await queue.pause("other")
    await queue.set_limit(Limit(key="provider:y", concurrency=9))
    await queue.claim(CLAIMER, limit=4)
    await schedules.pause("news", owner_id=owner)
    await schedules.resume("news", owner_id=owner)
    new = NewSchedule(owner_id=owner, name="news", cron="* * * * *", actor="echo", payload={"x": 1})
    await schedules.put(new)
    past = await empty.server_time() - timedelta(minutes=3)
    await empty.collection("schedules").update_one({}, {"$set": {"next_at": past}})
    ticked = await schedules.tick()

    assert ticked
    for collection in ("queues", "limits", "schedules"):
        rows = [row async for row in empty.collection(collection).find()]
        assert rows
        assert all(row[FIELD] == NEWER[FIELD] for row in rows), collection
