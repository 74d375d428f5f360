"""Documents of each earlier release are still read, and fields of a newer one survive every write."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import JsonValue

from appdb import (
    BranchRepository,
    Claimer,
    ContentRepository,
    Database,
    DbEventType,
    EventRepository,
    FileRepository,
    Lease,
    Limit,
    NewEvent,
    RegistryRepository,
    ScheduleRepository,
    StateRepository,
    TaskEventType,
    TaskQueue,
    TaskState,
    TokenRepository,
    UserRepository,
    VersionRepository,
    WorkflowRepository,
    content_hash,
)
from appdb.models import (
    AnnouncedActor,
    AnnouncedWorker,
    ContentKind,
    FileCategory,
    NewContent,
    NewFile,
    NewRunEvent,
    NewSchedule,
    UsageFilter,
)
from appsupport.documents.collections_page import declared_collections
from appsupport.documents.stored_fields import unknown_fields
from appsupport.migrations.earlier_releases import documents, key_of, restore

VERSIONS = ["0.1", "0.2", "0.3"]
NEWER = {"of_a_newer_release": {"a.b": "$x", "n": 1}}
FIELD = next(iter(NEWER))
PAYLOAD = {"text": "$lease.token", "a.b": {"$gt": ""}}
OUTGROWN = {"snapshots.state.mapped"}
"""Fields that nothing reads: of snapshots with an older ``fold_version``, which are folded again."""
CLAIMER = Claimer(worker_id="wrk_2", queues=("default",), handlers=("echo@1",))


@pytest.fixture(params=VERSIONS)
async def version(empty: Database, request: pytest.FixtureRequest) -> str:
    """A release, whose documents are in the migrated database, each with a field that no release knows yet."""
    await restore(empty, request.param, **NEWER)
    await empty.migrate()
    return str(request.param)


@pytest.mark.parametrize("release", VERSIONS)
def test_released_fields_stand_in_models(release: str) -> None:
    stored = [(name, row) for name in sorted(declared_collections()) for row in documents(release, name)]

    assert stored
    assert {f"{name}.{field}" for name, row in stored for field in unknown_fields(name, row)} <= OUTGROWN


def owner_of(version: str) -> str:
    return str(documents(version, "users")[0]["_id"])


async def test_released_tasks_and_logs_are_read(empty: Database, version: str) -> None:
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


async def test_released_contents_and_bytes_are_read(empty: Database, version: str) -> None:
    contents, owner = ContentRepository(empty), owner_of(version)
    (content,) = await contents.page(owner_id=owner)
    generation = await contents.generation(content.task_id, owner_id=owner)

    assert await contents.list_for_task(content.task_id, owner_id=owner) == [content]
    assert b"".join([part async for part in contents.read(content)]) == b"\x89PNG not really"
    assert (generation.request, generation.operation) == (PAYLOAD, "txt2img")
    assert (content.caption, content.seed) == ("A cat.", 7)


async def test_released_users_and_keys_are_known(empty: Database, version: str) -> None:
    assert await UserRepository(empty).user_of_key(key_of(version)) == owner_of(version)


@pytest.mark.usefixtures("version")
async def test_released_actors_and_workers_are_read(empty: Database) -> None:
    registry = RegistryRepository(empty)

    assert [actor.id for actor in await registry.actors()] == ["echo"]
    assert (await registry.actor("echo")).payload_schema == {"type": "object"}
    assert [worker.id for worker in await registry.workers()] == ["wrk_1"]


async def test_released_task_is_claimed_and_completed(empty: Database, version: str) -> None:
    queue, owner = TaskQueue(empty), owner_of(version)
    waiting = {task.id for task in await queue.page(owner_id=owner, states=[TaskState.QUEUED])}
    (task,) = await queue.claim(CLAIMER, limit=1)
    await queue.complete(Lease.of(task), {"ok": True})

    assert task.id in waiting
    assert (await queue.get(task.id, owner_id=owner)).state is TaskState.COMPLETED


async def test_unknown_fields_of_tasks_survive(empty: Database, version: str) -> None:
    queue, owner = TaskQueue(empty), owner_of(version)
    tasks = {task.state: task for task in await queue.page(owner_id=owner, limit=50)}
    await queue.recover()
    await queue.promote()
    await queue.retry(tasks[TaskState.SCHEDULED].id, owner_id=owner)
    await queue.fill_claim_keys()
    first = NewEvent(type=TaskEventType.PROGRESS, data={"fraction": 0.1, "message": ""})
    while claimed := await queue.claim(CLAIMER, limit=1):
        (task,) = claimed
        lease = Lease.of(task)
        await queue.renew([lease])
        await queue.append_events(lease, [first], seq=(await queue.get(task.id, owner_id=owner)).event_count)
        await queue.complete(lease, {"ok": True})
    for task in await queue.page(owner_id=owner, states=[TaskState.SCHEDULED, TaskState.PROCESSING], limit=50):
        await queue.cancel(task.id, owner_id=owner)
    ids = [row["_id"] for row in documents(version, "tasks")]
    rows = [row async for row in empty.collection("tasks").find({"_id": {"$in": ids}})]

    assert len(rows) == len(ids)
    assert all(row[FIELD] == NEWER[FIELD] for row in rows)
    assert all(TaskState(row["state"]).final for row in rows)


async def test_unknown_fields_of_content_survive_repeated_run(empty: Database, version: str) -> None:
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
async def test_unknown_fields_of_actors_and_workers_survive_announcement(empty: Database) -> None:
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


@pytest.mark.parametrize("version", ["0.2", "0.3"], indirect=True)
async def test_unknown_fields_of_schedules_queues_limits_survive(empty: Database, version: str) -> None:
    queue, schedules, owner = TaskQueue(empty), ScheduleRepository(empty), owner_of(version)
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


@pytest.mark.parametrize("version", ["0.3"], indirect=True)
async def test_released_runs_and_parts_are_read(empty: Database, version: str) -> None:
    owner = owner_of(version)
    (run,) = await WorkflowRepository(empty).page(owner_id=owner)
    state = await StateRepository(empty).get(run.id, owner_id=owner)
    files, branches, log = FileRepository(empty), BranchRepository(empty), EventRepository(empty)
    listed = await files.page(run.id, owner_id=owner)
    texts = {file.name: (await files.get(file.id, owner_id=owner)).text for file in listed}
    usage = await TokenRepository(empty).totals(owner_id=owner, wanted=UsageFilter(run_id=run.id))

    asked = await StateRepository(empty).interactions(run.id, owner_id=owner)

    assert state.pending is not None
    assert state.pending.data["fields"] == [{"$gt": "a.b"}]
    assert [event.seq for event in await log.log(run.id, owner_id=owner)] == list(range(run.event_count))
    assert {run.branch_id} < {branch.id for branch in await branches.page(run.id, owner_id=owner)}
    assert [one.request.interaction_id for one in asked] == ["select_1", "form_1"]
    assert (texts["small.txt"], set(texts["large.txt"]), json.loads(texts["plan.json"])) == ("hello", {"y"}, PAYLOAD)
    assert usage.user.cost == Decimal("0.1")
    assert len(await WorkflowRepository(empty).versions(run.id, owner_id=owner)) == 2
    assert (await empty.recover_run(run.id, owner_id=owner, dry_run=True)).disagreements == ()


@pytest.mark.parametrize("version", ["0.3"], indirect=True)
async def test_released_versions_history_and_settings_are_read(empty: Database, version: str) -> None:
    owner, versions = owner_of(version), VersionRepository(empty)
    template = await versions.find_template("Film", owner_id=owner)
    source = await versions.latest_source(template.id, owner_id=owner)
    fitting = await versions.version_for(source.id, ["web"], owner_id=owner)
    options = await empty.list_option_usage(owner_id=owner, template_id=template.id, step_id="write", module="choose")
    keywords = await empty.list_keywords(
        owner_id=owner, template_id=template.id, category="weather", half_life=timedelta(days=7)
    )

    assert (source.definition["$title"], fitting.definition["for"]) == ("a.b", "web")
    assert fitting.content_hash == content_hash(fitting.definition)
    assert {used.option for used in options} == {"red", "$blue"}
    assert [(used.keyword, used.details) for used in keywords] == [("fog", {"a.b": "$x"})]
    assert await empty.get_config("engine", "limits", as_type=dict[str, JsonValue]) == {"most": 3, "a.b": "$x"}


@pytest.mark.parametrize("version", ["0.3"], indirect=True)
async def test_unknown_fields_of_runs_and_parts_survive(empty: Database, version: str) -> None:
    owner = owner_of(version)
    (run,) = await WorkflowRepository(empty).page(owner_id=owner)
    answer = NewRunEvent(type=DbEventType.INTERACTION_RESPONSE, data={"interaction_id": "form_1", "value": 2})
    await EventRepository(empty).append(run.id, [answer], owner_id=owner, branch_id=run.branch_id)
    await StateRepository(empty).jump(run.id, "paint", owner_id=owner, branch_id=run.branch_id)
    for name in ("small.txt", "large.txt"):
        new = NewFile(run_id=run.id, branch_id=run.branch_id, category=FileCategory.OUTPUTS, name=name, content="again")
        await FileRepository(empty).put(new, owner_id=owner)
    await empty.set_config("engine", "limits", {"most": 4})

    for collection in ("workflow_runs", "branches", "events", "workflow_files", "workflow_run_versions", "config"):
        ids = [row["_id"] for row in documents(version, collection) if row["_id"] != "contract"]
        rows = [row async for row in empty.collection(collection).find({"_id": {"$in": ids}})]
        assert len(rows) == len(ids)
        assert all(row[FIELD] == NEWER[FIELD] for row in rows), collection
