"""Generations: recorded with their run, moved by their task, listed with their items, in one query."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from appdb import (
    Claimer,
    ConflictError,
    ContentRepository,
    Database,
    InvalidDataError,
    Lease,
    LeaseLostError,
    NewTask,
    NotFoundError,
    Task,
    TaskQueue,
    TooLargeError,
)
from appdb._queries import content_generation_metadata as generation_queries
from appdb._queries.paging import older_than
from appdb.models import ContentKind, Generation, GenerationStatus, NewContent, NewGeneration, Origin
from appsupport.runs.run_repositories import open_run

OWNER, OTHER = "usr_a", "usr_b"
ORIGIN = Origin(run_id="wf_1", interaction_id="media_1", prompt_id="p1")
HOSTILE = ["$lease.token", "$$NOW", "a.b", "", "😀", "$where", "{$gt: ''}"]
CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))


@pytest.fixture
def queue(database: Database) -> TaskQueue:
    return TaskQueue(database, lease=timedelta(seconds=60))


@pytest.fixture
async def contents(database: Database) -> ContentRepository:
    await open_run(database, "wf_1")
    return ContentRepository(database)


def item(key: str = "picture", data: bytes = b"x", **more: Any) -> NewContent:
    given: dict[str, Any] = {"kind": ContentKind.IMAGE, "role": "picture", "media_type": "image/png", "filename": "f"}
    return NewContent(key=key, data=data, **given | more)


def new(task: Task, **more: Any) -> NewGeneration:
    given: dict[str, Any] = {"provider": "p", "operation": "txt2img", "request": {"a": 1}, "origin": ORIGIN}
    return NewGeneration(task_id=task.id, **given | more)


async def enqueued(queue: TaskQueue, **more: Any) -> Task:
    return await queue.enqueue(NewTask(**{"owner_id": OWNER, "actor": "echo", "payload": {"text": "hello"}} | more))


async def claimed(queue: TaskQueue, **more: Any) -> Task:
    await enqueued(queue, **more)
    (task,) = await queue.claim(CLAIMER)
    return task


async def begin(contents: ContentRepository, task: Task, **more: Any) -> Generation:
    given: dict[str, Any] = {"operation": "txt2img", "provider": "p", "source_data": {"s": 1}}
    return await contents.begin(Lease.of(task), task, **given | more)


async def test_generation_recorded_with_task_is_visible(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    async def body(session: Any) -> Generation:
        task = await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={"full": True}), session=session)
        return await contents.record(new(task), owner_id=OWNER, session=session)

    recorded = await database.transaction(body)
    (task,) = await queue.claim(CLAIMER)
    begun = await begin(contents, task)
    final = await contents.get_generation(recorded.id, owner_id=OWNER)

    assert (recorded.status, recorded.request) == (GenerationStatus.PENDING, {"a": 1})
    assert begun == final
    assert (begun.id, begun.request, begun.created_at) == (recorded.id, {"a": 1}, recorded.created_at)
    assert (begun.run_id, begun.interaction_id, begun.prompt_id) == ("wf_1", "media_1", "p1")
    assert begun.source_data == {"s": 1}


async def test_transaction_reads_its_own_generation(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    async def body(session: Any) -> list[Any]:
        task = await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}), session=session)
        made = await contents.record(new(task), owner_id=OWNER, session=session)
        named: dict[str, Any] = {"owner_id": OWNER, "session": session}
        found = await contents.generation(task.id, **named), await contents.get_generation(made.id, **named)
        lists = [
            await contents.list_for_owner(**named),
            await contents.list_for_run("wf_1", **named),
            await contents.list_for_interaction("media_1", **named),
        ]
        assert found == (made, made)
        assert [[each.id for each in page] for page in lists] == [[made.id]] * 3
        return await contents.list_for_owner(owner_id=OWNER)

    assert await database.transaction(body) == []


async def test_transaction_no_longer_reads_item_it_deleted(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    task = await claimed(queue)
    stored = await contents.store(Lease.of(task), task, item(), seq=task.event_count)
    await queue.complete(Lease.of(task), {})

    async def body(session: Any) -> list[Any]:
        await contents.delete(stored.id, owner_id=OWNER, session=session)
        with pytest.raises(NotFoundError):
            await contents.get(stored.id, owner_id=OWNER, session=session)
        assert await contents.page(owner_id=OWNER, session=session) == []
        assert await contents.list_for_task(task.id, owner_id=OWNER, session=session) == []
        return await contents.list_for_task(task.id, owner_id=OWNER)

    assert await database.transaction(body) == [stored]


async def test_recording_again_or_late_changes_nothing(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    task = await claimed(queue)
    begun = await begin(contents, task, source_data={"by": "worker"})
    await contents.report(Lease.of(task), provider_task_id="job-1")
    late = await contents.record(new(task, provider="other", request={"b": 2}), owner_id=OWNER)
    again = await contents.record(new(task, origin=Origin(run_id=await open_run(database, "wf_2"))), owner_id=OWNER)

    assert (late.run_id, late.provider, late.request, late.source_data) == (
        "wf_1",
        begun.provider,
        begun.request,
        begun.source_data,
    )
    assert late.provider_task_id == "job-1"
    assert again == late


async def test_recorded_generation_ends_with_unstarted_task(contents: ContentRepository, queue: TaskQueue) -> None:
    task = await enqueued(queue)
    await contents.record(new(task), owner_id=OWNER)
    await queue.cancel(task.id, owner_id=OWNER)
    found = await contents.generation(task.id, owner_id=OWNER)

    assert found.status is GenerationStatus.CANCELLED
    with pytest.raises(ConflictError, match="cancelled"):
        await contents.record(new(task), owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await contents.record(new(task), owner_id=OTHER)


async def test_next_attempt_finds_providers_job(contents: ContentRepository, queue: TaskQueue) -> None:
    task = await claimed(queue)
    first = await begin(contents, task, origin=ORIGIN)
    await contents.report(Lease.of(task), provider_task_id="job-1")
    reported = await contents.report(Lease.of(task), usage={"credits": 2, "a.b": {"$inc": 1}})
    await queue.fail(Lease.of(task), "Timeout", "slow", retry_in=timedelta(0))
    (task,) = await queue.claim(CLAIMER)
    second = await begin(contents, task)
    other = await begin(contents, task, provider="another")

    assert first.provider_task_id is None
    assert (reported.provider_task_id, reported.usage) == ("job-1", {"credits": 2, "a.b": {"$inc": 1}})
    assert (second.provider_task_id, second.usage, second.run_id) == ("job-1", reported.usage, "wf_1")
    assert (second.created_at, second.status) == (first.created_at, GenerationStatus.PENDING)
    assert (other.provider_task_id, other.usage) == (None, None)


@pytest.mark.parametrize("retry_in", [None, timedelta(0)])
async def test_failed_generation_tells_why(
    contents: ContentRepository, queue: TaskQueue, retry_in: timedelta | None
) -> None:
    tasks = [await claimed(queue, max_attempts=1) for _ in range(2)]
    for number, task in enumerate(tasks):
        await begin(contents, task)
        await queue.fail(Lease.of(task), "Broken", f"provider {number} is down", retry_in=retry_in)
    found = [await contents.generation(task.id, owner_id=OWNER) for task in tasks]

    assert [generation.error for generation in found] == ["provider 0 is down", "provider 1 is down"]
    assert {generation.status for generation in found} == {GenerationStatus.FAILED}
    assert all(generation.completed_at for generation in found)


async def test_generation_tells_its_last_workers_death(contents: ContentRepository, database: Database) -> None:
    queue = TaskQueue(database, lease=timedelta(milliseconds=50))
    task = await claimed(queue, max_attempts=1)
    await begin(contents, task)
    async with asyncio.timeout(20):
        while not await queue.recover():
            await asyncio.sleep(0.05)
    found = await contents.generation(task.id, owner_id=OWNER)

    assert found.status is GenerationStatus.FAILED
    assert "stopped renewing" in (found.error or "")


async def test_completed_generation_keeps_no_earlier_error(contents: ContentRepository, queue: TaskQueue) -> None:
    task = await claimed(queue)
    await begin(contents, task)
    await queue.fail(Lease.of(task), "Broken", "no", retry_in=timedelta(0))
    (task,) = await queue.claim(CLAIMER)
    await begin(contents, task)
    await queue.complete(Lease.of(task))
    found = await contents.generation(task.id, owner_id=OWNER)

    assert (found.status, found.error) == (GenerationStatus.COMPLETED, None)


async def test_final_status_never_changes(contents: ContentRepository, queue: TaskQueue) -> None:
    task = await claimed(queue)
    lease = Lease.of(task)
    await begin(contents, task)
    await queue.complete(lease)
    done = await contents.generation(task.id, owner_id=OWNER)
    with pytest.raises(LeaseLostError):
        await begin(contents, task)
    with pytest.raises(LeaseLostError):
        await contents.report(lease, provider_task_id="late")
    with pytest.raises(ConflictError):
        await contents.record(new(task), owner_id=OWNER)

    assert await contents.generation(task.id, owner_id=OWNER) == done


async def test_report_before_begin_is_refused(contents: ContentRepository, queue: TaskQueue) -> None:
    task = await claimed(queue)
    with pytest.raises(NotFoundError):
        await contents.report(Lease.of(task), provider_task_id="job-1")


async def test_undescribed_item_has_generation(contents: ContentRepository, queue: TaskQueue) -> None:
    task = await claimed(queue)
    content = await contents.store(Lease.of(task), task, item(), seq=0)
    await queue.complete(Lease.of(task))
    (listed,) = await contents.list_for_owner(owner_id=OWNER)

    assert (listed.operation, listed.status, listed.items) == ("echo", GenerationStatus.COMPLETED, [content])
    assert listed.request == {"text": "hello"}


async def test_items_tell_media_type_and_preview(contents: ContentRepository, queue: TaskQueue) -> None:
    task = await claimed(queue)
    lease = Lease.of(task)
    with pytest.raises(NotFoundError, match="small"):
        await contents.store(lease, task, item("big", preview_key="small"), seq=0)
    small = await contents.store(lease, task, item("small", b"\x89PNG\r\n\x1a\n", index=1), seq=0)
    big = await contents.store(lease, task, item("big", b"<svg>", index=0, preview_key="small"), seq=1)
    again = await contents.store(lease, task, item("small", b"GIF89a", index=1), seq=2)
    (listed,) = await contents.list_for_owner(owner_id=OWNER)

    assert (small.decoded_type, big.decoded_type, again.decoded_type) == ("image/png", "text/plain", "image/gif")
    assert (big.preview_id, again.is_preview) == (small.id, True)
    assert listed.items == [big, again]


async def test_lists_hold_every_generation_with_items(contents: ContentRepository, queue: TaskQueue) -> None:
    made: dict[str, list[str]] = {}
    for number in range(9):
        task = await claimed(queue)
        origin = Origin(run_id="wf_1" if number % 3 else None, interaction_id="media_1" if number % 2 else None)
        generation = await begin(contents, task, origin=origin)
        stored = [await contents.store(Lease.of(task), task, item(f"{n}", index=n), seq=n) for n in range(number % 4)]
        made[generation.id] = [content.id for content in stored]
        await queue.complete(Lease.of(task))
    order = list(reversed(made))

    async def all_of(list_page: Any, *args: str) -> dict[str, list[str]]:
        seen: dict[str, list[str]] = {}
        while page := await list_page(*args, owner_id=OWNER, limit=2, before=list(seen)[-1] if seen else None):
            seen |= {found.id: [content.id for content in found.items] for found in page}
        return seen

    every = await all_of(contents.list_for_owner)
    assert (list(every), every) == (order, made)
    numbered = dict(enumerate(made))
    of_run = await all_of(contents.list_for_run, "wf_1")
    assert list(of_run) == [numbered[n] for n in reversed(range(9)) if n % 3]
    of_interaction = await all_of(contents.list_for_interaction, "media_1")
    assert list(of_interaction) == [numbered[n] for n in reversed(range(9)) if n % 2]
    for owner, run in ((OTHER, "wf_1"), (OWNER, "wf_2")):
        with pytest.raises(NotFoundError, match=run):
            await contents.list_for_run(run, owner_id=owner)
    with pytest.raises(NotFoundError):
        await contents.list_for_owner(owner_id=OTHER, before=order[0])


@pytest.mark.parametrize("value", HOSTILE)
async def test_user_text_stays_text(
    contents: ContentRepository, queue: TaskQueue, database: Database, value: str
) -> None:
    data: dict[str, Any] = {value: value, "nested": {"a.b": [{"$set": value}], "$ref": value, "$id": value}}
    task = await enqueued(queue, owner_id=value or OWNER)
    owner = task.owner_id
    run_id = await open_run(database, f"wf_{value}", owner_id=owner)
    origin = Origin(run_id=run_id, interaction_id=value, prompt_id=value)
    fields: dict[str, Any] = {"provider": value, "operation": value, "request": data, "source_data": data}
    recorded = await contents.record(new(task, origin=origin, **fields), owner_id=owner)
    (task,) = await queue.claim(CLAIMER)
    await begin(contents, task, provider=value, operation=value, source_data=data, origin=origin)
    lease = Lease.of(task)
    await contents.report(lease, provider_task_id=value, usage=data)
    text = dict.fromkeys(("role", "media_type", "filename", "caption"), value)
    content = await contents.store(lease, task, item(value or "key", value.encode(), **text), seq=0)
    (found,) = await contents.list_for_run(run_id, owner_id=owner)
    (same,) = await contents.list_for_interaction(value, owner_id=owner)

    assert found == same
    assert (found.request, found.source_data, found.usage) == (data, data, data)
    assert {found.provider, found.operation, found.interaction_id, found.prompt_id} == {value}
    assert content.key == (value or "key")
    assert found.provider_task_id == value
    assert found.id == recorded.id
    assert found.items == [content]
    assert {content.role, content.media_type, content.filename, content.caption} == {value}


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"request": {"a": "x" * 300_000}}, TooLargeError),
        ({"source_data": {"a": "x" * 300_000}}, TooLargeError),
        ({"provider": "x" * 5_000}, InvalidDataError),
        ({"operation": None}, InvalidDataError),
        ({"request": [1]}, InvalidDataError),
        ({"request": {"a": "\ud800"}}, InvalidDataError),
        ({"origin": Origin(run_id="\ud800")}, InvalidDataError),
    ],
)
async def test_unstorable_generation_is_refused_whole(
    contents: ContentRepository, queue: TaskQueue, wrong: dict[str, Any], error: type[Exception]
) -> None:
    task = await claimed(queue)
    with pytest.raises(error):
        await contents.record(new(task, **wrong), owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await contents.generation(task.id, owner_id=OWNER)
    with pytest.raises(TooLargeError):
        await contents.store(Lease.of(task), task, item("k", caption="c" * 70_000), seq=0)
    await begin(contents, task)
    with pytest.raises(TooLargeError):
        await contents.report(Lease.of(task), usage={"a": "x" * 20_000})


async def test_unknown_fields_of_newer_release_survive(
    contents: ContentRepository, queue: TaskQueue, database: Database
) -> None:
    task = await claimed(queue)
    generation = await begin(contents, task)
    content = await contents.store(Lease.of(task), task, item(), seq=0)
    for name, found_id in [("content_generation_metadata", generation.id), ("generated_content", content.id)]:
        await database.collection(name).update_one({"_id": found_id}, {"$set": {"newer": {"a.b": 1}}})
    await begin(contents, task)
    await contents.report(Lease.of(task), usage={})
    await contents.store(Lease.of(task), task, item(data=b"again"), seq=1)
    await queue.complete(Lease.of(task))

    for name in ("content_generation_metadata", "generated_content"):
        assert (await database.collection(name).find_one() or {})["newer"] == {"a.b": 1}


@pytest.mark.parametrize("about", [{}, {"run_id": "wf_1"}, {"interaction_id": "media_1"}])
async def test_list_is_one_query_without_surplus(
    contents: ContentRepository, queue: TaskQueue, database: Database, about: dict[str, str]
) -> None:
    now = await database.server_time()
    named = {"run_id": "wf_1", "interaction_id": "media_1", "created_at": now}
    others = [{"_id": f"cgm_{n}", "owner_id": f"usr_{n % 7}", **named} for n in range(3_000)]
    await database.collection("content_generation_metadata").insert_many(others)
    items = [{"_id": f"gc_{n}", "owner_id": OTHER, "generation_id": f"cgm_{n % 99}", "index": n} for n in range(3_000)]
    await database.collection("generated_content").insert_many(items)
    for _ in range(12):
        task = await claimed(queue)
        await begin(contents, task, origin=ORIGIN)
        for n in range(3):
            last = await contents.store(Lease.of(task), task, item(f"{n}", index=n), seq=n)
    page = generation_queries.generations(OWNER, **about) | older_than(
        {"_id": last.generation_id, "created_at": last.created_at}
    )
    command = {
        "aggregate": "content_generation_metadata",
        "pipeline": generation_queries.with_items(page, 5),
        "cursor": {},
    }
    answer = await database.raw.command({"explain": command, "verbosity": "executionStats"})
    cursor = answer["stages"][0]["$cursor"]["executionStats"]
    (lookup,) = [stage for stage in answer["stages"] if "$lookup" in stage]

    assert cursor["nReturned"] == 5
    assert cursor["totalKeysExamined"] <= 10
    assert cursor["totalDocsExamined"] <= 10
    assert (lookup["totalDocsExamined"], lookup["collectionScans"]) == (15, 0)
    assert lookup["totalKeysExamined"] <= 20
