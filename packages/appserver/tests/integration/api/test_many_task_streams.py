"""Several tasks in one stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from appdb import Database, Lease, NewEvent, Task, TaskEventType, TaskQueue

Submit = Callable[..., Awaitable[dict[str, Any]]]
Claim = Callable[[], Awaitable[tuple[Task, Lease]]]
Frames = Callable[[httpx2.Response], AsyncIterator[dict[str, str]]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]

CHUNK = NewEvent(type=TaskEventType.CHUNK, data={"chunks": [{"text": "a"}]})


async def events_of(answer: httpx2.Response, frames: Frames) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    async for frame in frames(answer):
        if "data" in frame:
            yield frame["id"], json.loads(frame["data"])


async def test_stream_of_two_tasks_ends_with_both(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue, frames: Frames
) -> None:
    tasks = [(await submit(client))["id"] for _ in range(2)]
    leases = [(await claim())[1] for _ in tasks]
    await queue.append_events(leases[0], [CHUNK, CHUNK], seq=0)
    seen: dict[str, list[int]] = {task: [] for task in tasks}
    after = ",".join(f"{task}:-1" for task in tasks)
    async with asyncio.timeout(10), client.stream("GET", "/api/stream", params={"after": after}) as answer:
        async for last_id, event in events_of(answer, frames):
            seen[event["task_id"]].append(event["seq"])
            if seen[tasks[0]] == [0, 1] and not seen[tasks[1]]:
                await queue.append_events(leases[1], [CHUNK], seq=0)
                await queue.complete(leases[1], {})
            if seen[tasks[1]] == [0, 1] and len(seen[tasks[0]]) == 2:
                assert last_id == f"{tasks[0]}:1,{tasks[1]}:1"
                await queue.complete(leases[0], {})
    over = await client.get("/api/stream", params={"after": f"{tasks[0]}:2,{tasks[1]}:1"})

    assert seen == {tasks[0]: [0, 1, 2], tasks[1]: [0, 1]}
    assert over.status_code == 204


async def test_resumed_stream_neither_misses_nor_repeats(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue, frames: Frames
) -> None:
    tasks = [(await submit(client))["id"] for _ in range(2)]
    for _ in tasks:
        _, lease = await claim()
        await queue.append_events(lease, [CHUNK] * 3, seq=0)
        await queue.complete(lease, {})
    query = {"after": ",".join(f"{task}:-1" for task in tasks)}
    seen, position = [], ""
    while True:
        headers = {"Last-Event-ID": position} if position else {}
        async with client.stream("GET", "/api/stream", params=query, headers=headers) as answer:
            if answer.status_code == 204:
                break
            async for last_id, event in events_of(answer, frames):
                seen.append((event["task_id"], event["seq"]))
                position = last_id
                break  # cut off after every single event

    assert sorted(seen) == sorted((task, seq) for task in tasks for seq in range(4))


async def test_stream_with_foreign_task_is_not_found(make_client: MakeClient, submit: Submit) -> None:
    mine, other = await make_client(), await make_client()
    tasks = [(await submit(mine))["id"], (await submit(other))["id"]]

    answer = await mine.get("/api/stream", params={"after": ",".join(f"{task}:-1" for task in tasks)})

    assert answer.status_code == 404


@pytest.mark.parametrize("after", ["", "tq_x", "tq_x:", "tq_x:y", ":1", "tq_x:1,", "tq_x:-", "tq_x:٣"])
async def test_malformed_position_is_named(client: httpx2.AsyncClient, after: str) -> None:
    answer = await client.get("/api/stream", params={"after": after})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "after"


async def test_late_position_and_many_tasks_are_named(client: httpx2.AsyncClient, submit: Submit) -> None:
    task = (await submit(client))["id"]
    late = await client.get("/api/stream", params={"after": f"{task}:7"})
    many = await client.get("/api/stream", params={"after": ",".join(f"tq_{number}:-1" for number in range(51))})

    assert (late.status_code, many.status_code) == (422, 422)
    assert "51 tasks" in many.json()["detail"]


async def test_leaving_viewer_releases_all_readers(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue, frames: Frames
) -> None:
    tasks = [(await submit(client))["id"] for _ in range(3)]
    _, lease = await claim()
    await queue.append_events(lease, [CHUNK] * 40, seq=0)
    after = ",".join(f"{task}:-1" for task in tasks)
    for _ in range(21):  # a user may have 20 streams at once
        async with asyncio.timeout(10), client.stream("GET", "/api/stream", params={"after": after}) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for _event in events_of(answer, frames):
                break


async def test_unreadable_task_does_not_end_other_streams(
    client: httpx2.AsyncClient,
    submit: Submit,
    claim: Claim,
    queue: TaskQueue,
    database: Database,
    frames: Frames,
) -> None:
    tasks = [(await submit(client))["id"] for _ in range(2)]
    lease = (await claim())[1]
    damage = {"$set": {"progress": 5}}
    await database.collection("tasks").update_one({"_id": tasks[1]}, damage)
    await queue.complete(lease, {})

    both = {"after": ",".join(f"{task}:-1" for task in tasks)}
    async with asyncio.timeout(10), client.stream("GET", "/api/stream", params=both) as answer:
        seen = [event["task_id"] async for _, event in events_of(answer, frames)]
    alone = await client.get("/api/stream", params={"after": f"{tasks[1]}:-1"})

    assert {*seen} == {tasks[0]}
    assert (alone.status_code, "tell the operator" in alone.json()["detail"]) == (500, True)


async def test_content_event_without_content_ends_no_stream(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue, frames: Frames
) -> None:
    tasks = [(await submit(client))["id"] for _ in range(2)]
    leases = [(await claim())[1] for _ in tasks]
    odd = NewEvent(type=TaskEventType.CONTENT, data={"media_type": "image/png"})
    await queue.append_events(leases[0], [CHUNK, odd, CHUNK], seq=0)
    for lease in leases:
        await queue.complete(lease, {})

    seen: dict[str, list[str]] = {task: [] for task in tasks}
    after = ",".join(f"{task}:-1" for task in tasks)
    async with asyncio.timeout(10), client.stream("GET", "/api/stream", params={"after": after}) as answer:
        async for _, event in events_of(answer, frames):
            seen[event["task_id"]].append(event["type"])

    assert seen == {tasks[0]: ["chunk", "content", "chunk", "completed"], tasks[1]: ["completed"]}
