"""Streams: snapshot, resume, live, the end; one reader for many viewers; and nothing lost on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from appdb import Database, Lease, NewEvent, Progress, Task, TaskEventType, TaskQueue
from appdb.models import Content
from appserver.streams import log_reader, stream_viewer, task_streams

Frame = dict[str, str]
Frames = Callable[[httpx2.Response], AsyncIterator[Frame]]
Submit = Callable[..., Awaitable[dict[str, Any]]]
Claim = Callable[[], Awaitable[tuple[Task, Lease]]]
Store = Callable[..., Awaitable[Content]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
Serve = Callable[..., Awaitable[str]]


async def record(queue: TaskQueue, lease: Lease, first: int, count: int) -> None:
    """Log *count* progress events, the first with number *first*."""
    events = [
        NewEvent(type=TaskEventType.PROGRESS, data=Progress(fraction=0.5, message=f"step {first + n}").model_dump())
        for n in range(count)
    ]
    await queue.append_events(lease, events, seq=first)


async def read_all(client: httpx2.AsyncClient, frames: Frames, task_id: str, **options: Any) -> list[Frame]:
    """Read a stream to its end."""
    async with asyncio.timeout(30), client.stream("GET", f"/api/tasks/{task_id}/stream", **options) as answer:
        assert answer.status_code == 200, await answer.aread()
        return [frame async for frame in frames(answer)]


async def read_to_end(reading: AsyncIterator[Frame]) -> list[Frame]:
    return [frame async for frame in reading]


def numbers(read: list[Frame]) -> list[int]:
    return [int(frame["id"]) for frame in read if frame.get("event") != "snapshot" and "id" in frame]


async def test_stream_goes_from_snapshot_to_terminal_event(
    client: httpx2.AsyncClient, frames: Frames, submit: Submit, claim: Claim, store: Store, queue: TaskQueue
) -> None:
    task = await submit(client)
    claimed, lease = await claim()
    content = await store(claimed)
    await record(queue, lease, 1, 2)

    async with asyncio.timeout(30), client.stream("GET", f"/api/tasks/{task['id']}/stream") as answer:
        reading = frames(answer)
        first = await anext(reading)
        await record(queue, lease, 3, 1)
        live = await anext(reading)
        await queue.complete(lease, {"scenes": 1})
        rest = [frame async for frame in reading]

    snapshot = json.loads(first["data"])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-cache", "no")
    assert (first["event"], first["id"], snapshot["last_seq"]) == ("snapshot", "2", 2)
    assert 1_000 <= int(first["retry"]) <= 3_000
    assert snapshot["contents"][0]["id"] == content.id
    assert lease.token not in first["data"]
    assert (live["id"], live["event"]) == ("3", "progress")
    assert json.loads(live["data"]).keys() == {"task_id", "seq", "type", "attempt", "at", "data"}
    assert json.loads(live["data"])["data"]["message"] == "step 3"
    assert [frame["event"] for frame in rest] == ["completed"]


@pytest.mark.parametrize("by_header", [True, False])
async def test_stream_resumes_after_last_seen_event(
    client: httpx2.AsyncClient, frames: Frames, submit: Submit, claim: Claim, queue: TaskQueue, by_header: bool
) -> None:
    task = await submit(client)
    _, lease = await claim()
    await record(queue, lease, 0, 6)
    await queue.complete(lease, {})

    options: dict[str, Any] = {"headers": {"Last-Event-ID": "3"}, "params": {"after": "0"}}
    read = await read_all(client, frames, task["id"], **(options if by_header else {"params": {"after": "3"}}))

    assert "retry" in read[0]
    assert numbers(read) == [4, 5, 6]
    assert read[-1]["event"] == "completed"


async def test_interrupted_viewer_sees_each_event_once(
    client: httpx2.AsyncClient, frames: Frames, submit: Submit, claim: Claim, queue: TaskQueue
) -> None:
    task = await submit(client)
    _, lease = await claim()
    seen: list[int] = []

    async def write() -> None:
        for first in range(0, 60, 3):
            await record(queue, lease, first, 3)
        await queue.complete(lease, {})

    writing = asyncio.create_task(write())
    after = -1
    async with asyncio.timeout(60):
        while True:
            params = {"after": after}
            async with client.stream("GET", f"/api/tasks/{task['id']}/stream", params=params) as answer:
                if answer.status_code == 204:
                    break
                before = len(seen)
                async for frame in frames(answer):
                    if "id" in frame:
                        after = int(frame["id"])
                        seen.append(after)
                    if len(seen) - before >= 7:
                        break
    await writing

    assert seen == list(range(61))


async def test_log_longer_than_viewer_queue_is_whole(
    client: httpx2.AsyncClient,
    frames: Frames,
    submit: Submit,
    claim: Claim,
    queue: TaskQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_viewer, "BACKLOG", 5)
    for module in (task_streams, log_reader):
        monkeypatch.setattr(module, "PAGE", 7)
    task = await submit(client)
    _, lease = await claim()
    await record(queue, lease, 0, 100)

    async with asyncio.timeout(30), client.stream("GET", f"/api/tasks/{task['id']}/stream?after=-1") as answer:
        reading = frames(answer)
        seen = [await anext(reading) for _ in range(100)]
        await queue.complete(lease, {})
        seen += [frame async for frame in reading]

    assert numbers(seen) == list(range(101))


async def test_viewer_of_ended_stream_gets_204(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue
) -> None:
    task = await submit(client)
    _, lease = await claim()
    await queue.complete(lease, {})

    by_query = await client.get(f"/api/tasks/{task['id']}/stream", params={"after": "0"})
    by_header = await client.get(f"/api/tasks/{task['id']}/stream?after=-1", headers={"Last-Event-ID": "0"})

    assert (by_query.status_code, by_header.status_code) == (204, 204)


async def test_stream_of_finished_task_is_snapshot(client: httpx2.AsyncClient, frames: Frames, submit: Submit) -> None:
    task = await submit(client)
    await client.post(f"/api/tasks/{task['id']}/cancel")

    read = await read_all(client, frames, task["id"])

    assert [frame["event"] for frame in read] == ["snapshot"]
    assert json.loads(read[0]["data"])["state"] == "cancelled"


@pytest.mark.parametrize("position", ["x", "1.5", "-2", "2", "99999999999999999999", "٣", "--1", "1 2"])
@pytest.mark.parametrize("field", ["Last-Event-ID", "after"])
async def test_invalid_position_is_refused(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue, field: str, position: str
) -> None:
    task = await submit(client)
    _, lease = await claim()
    await record(queue, lease, 0, 2)

    url = f"/api/tasks/{task['id']}/stream"
    if field == "after":
        answer = await client.get(url, params={"after": position})
    else:
        answer = await client.get(url, headers=[(b"Last-Event-ID", position.encode())])

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == field
    assert "-1 to 1" in answer.json()["detail"]


async def test_many_viewers_share_one_reader(
    client: httpx2.AsyncClient,
    frames: Frames,
    submit: Submit,
    claim: Claim,
    queue: TaskQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[str] = []
    read_page = log_reader.LogReader._read_page

    async def counted(reader: log_reader.LogReader) -> bool:
        reads.append(reader._cursor.task_id)
        return await read_page(reader)

    monkeypatch.setattr(log_reader.LogReader, "_read_page", counted)
    task = await submit(client)
    _, lease = await claim()
    opened = asyncio.Semaphore(0)

    async def view() -> list[int]:
        async with client.stream("GET", f"/api/tasks/{task['id']}/stream") as answer:
            reading = frames(answer)
            await anext(reading)
            opened.release()
            return numbers([frame async for frame in reading])

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        viewers = [group.create_task(view()) for _ in range(15)]
        for _ in viewers:
            await opened.acquire()
        for number in range(10):
            await record(queue, lease, number, 1)
        await queue.complete(lease, {})

    assert all(viewer.result() == list(range(11)) for viewer in viewers)
    # A hint and a look that finds nothing more for each of 11 writes, at most; 15 readers would look hundreds of times.
    assert len(reads) <= 30


async def test_slow_viewer_is_dropped_and_misses_nothing(
    client: httpx2.AsyncClient,
    frames: Frames,
    submit: Submit,
    claim: Claim,
    queue: TaskQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_viewer, "BACKLOG", 3)
    task = await submit(client)
    _, lease = await claim()

    async with asyncio.timeout(30), client.stream("GET", f"/api/tasks/{task['id']}/stream") as answer:
        reading = asyncio.create_task(read_to_end(frames(answer)))
        written = 0
        # One write of many events reaches the queue at once, faster than any viewer takes them.
        while not reading.done():
            await record(queue, lease, written, 50)
            written += 50
        seen = numbers(await reading)
    await queue.complete(lease, {})
    again = await read_all(client, frames, task["id"], params={"after": seen[-1]})

    assert seen[-1] < written
    assert seen + numbers(again) == list(range(written + 1))


@pytest.mark.usefixtures("announced")
@pytest.mark.parametrize("resumed", [False, True])
async def test_stream_holds_only_events_and_comments(
    serve: Serve, make_client: MakeClient, submit: Submit, claim: Claim, queue: TaskQueue, resumed: bool
) -> None:
    client = await make_client(base_url=await serve(stream_ping_seconds=0.1))
    task = await submit(client)
    _, lease = await claim()
    await record(queue, lease, 0, 1)
    read = b""

    async with asyncio.timeout(30):
        params = {"after": -1} if resumed else {}
        async with client.stream("GET", f"/api/tasks/{task['id']}/stream", params=params) as answer:
            async for part in answer.aiter_raw():
                read += part
                if read.count(b": ping\n") == 4:
                    # It was silent for a while, behind an event.
                    await queue.complete(lease, {})

    blocks = [block.removeprefix(": ping\n") for block in read.decode().split("\n\n")]
    assert blocks.pop() == ""
    assert read.count(b": ping\n") >= 4
    assert all(
        line.startswith((": ping", "retry:", "id:", "event:", "data:", "")) for line in read.decode().split("\n")
    )
    names = [[line.partition(":")[0] for line in block.split("\n") if not line.startswith(":")] for block in blocks]
    assert names == [["retry", "id", "event", "data"], ["id", "event", "data"]]
    # Before the first event, so that a proxy that waits for a body has one.
    assert read.startswith(b": ping\n")


async def test_silent_stream_beats_within_five_seconds(client: httpx2.AsyncClient, submit: Submit) -> None:
    task = await submit(client)

    async with client.stream("GET", f"/api/tasks/{task['id']}/stream", timeout=5) as answer:
        lines = answer.aiter_lines()
        seen = [await anext(lines)]
        while seen.count(": ping") < 2:
            seen.append(await anext(lines))

    assert seen[0] == seen[-1] == ": ping"


@pytest.mark.usefixtures("announced")
async def test_user_has_limited_streams(serve: Serve, make_client: MakeClient, submit: Submit) -> None:
    client = await make_client(base_url=await serve(streams_per_user=2))
    task = await submit(client)
    url = f"/api/tasks/{task['id']}/stream"

    async with asyncio.timeout(30), client.stream("GET", url), client.stream("GET", url):
        refused = await client.get(url)
    async with asyncio.timeout(30):
        # The host hears of a closed connection a moment later.
        while not await _opens(client, url):
            await asyncio.sleep(0.01)

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")


async def _opens(client: httpx2.AsyncClient, url: str) -> bool:
    async with client.stream("GET", url) as answer:
        return answer.status_code == 200


@pytest.mark.usefixtures("announced")
async def test_stream_limit_holds_for_concurrent_requests(
    serve: Serve, make_client: MakeClient, submit: Submit
) -> None:
    client = await make_client(base_url=await serve(streams_per_user=3))
    task = await submit(client)
    statuses: list[int] = []
    asked = asyncio.Semaphore(0)

    async def view() -> None:
        async with client.stream("GET", f"/api/tasks/{task['id']}/stream") as answer:
            statuses.append(answer.status_code)
            asked.release()
            await answer.aread()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(view())
        for _ in range(20):
            await asked.acquire()
        await client.post(f"/api/tasks/{task['id']}/cancel")

    assert sorted(statuses) == [200] * 3 + [429] * 17


async def test_closing_stream_cancels_nothing(
    client: httpx2.AsyncClient, frames: Frames, submit: Submit, claim: Claim, queue: TaskQueue
) -> None:
    task = await submit(client)
    _, lease = await claim()

    async with client.stream("GET", f"/api/tasks/{task['id']}/stream") as answer:
        await anext(frames(answer))

    assert (await client.get(f"/api/tasks/{task['id']}")).json()["state"] == "processing"
    assert await queue.renew([lease]) == set()


@pytest.mark.usefixtures("announced")
async def test_stream_resumes_at_another_host(
    serve: Serve,
    make_client: MakeClient,
    frames: Frames,
    submit: Submit,
    claim: Claim,
    queue: TaskQueue,
) -> None:
    first = await make_client(base_url=await serve())
    key = first.headers["authorization"].removeprefix("Bearer ")
    second = await make_client(base_url=await serve(), key=key)
    task = await submit(first)
    _, lease = await claim()
    await record(queue, lease, 0, 3)

    async with first.stream("GET", f"/api/tasks/{task['id']}/stream") as answer:
        snapshot = await anext(frames(answer))
    await record(queue, lease, 3, 2)
    await queue.complete(lease, {})
    read = await read_all(second, frames, task["id"], headers={"Last-Event-ID": snapshot["id"]})

    assert numbers(read) == [3, 4, 5]


async def test_internal_exception_reaches_no_user(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue
) -> None:
    task = await submit(client)
    _, lease = await claim()
    await queue.fail(lease, "HTTPStatusError", "401 for https://provider.test/?key=hunter2", retry_in=None)

    answers = [
        await client.get(f"/api/tasks/{task['id']}"),
        await client.get("/api/tasks"),
        await client.get(f"/api/tasks/{task['id']}/stream"),
        await client.get(f"/api/tasks/{task['id']}/stream", params={"after": "-1"}),
    ]

    for answer in answers:
        assert "hunter2" not in answer.text
        assert f"The operator finds it as {task['id']}, attempt 1" in answer.text


async def test_stream_skips_unreadable_events(
    client: httpx2.AsyncClient, frames: Frames, submit: Submit, claim: Claim, queue: TaskQueue, database: Database
) -> None:
    task = await submit(client)
    _, lease = await claim()
    await record(queue, lease, 0, 100)
    damaged = {"task_id": task["id"], "seq": {"$in": [3, 4, 50]}}
    changed = await database.collection("task_events").update_many(damaged, {"$set": {"data": "hello"}})
    await queue.complete(lease)
    read = await read_all(client, frames, task["id"], params={"after": 0})

    assert changed.modified_count == 3
    assert numbers(read) == [seq for seq in range(1, 101) if seq not in {3, 4, 50}]
    assert read[-1]["event"] == "completed"
