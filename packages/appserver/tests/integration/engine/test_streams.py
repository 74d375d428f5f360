"""Streams of runs over HTTP, and runs on two hosts: what one does, the other one shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

Start = Callable[..., Awaitable[dict[str, Any]]]
Serve = Callable[..., Awaitable[str]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
Frames = Callable[[httpx2.Response], AsyncIterator[dict[str, str]]]
SOON = 20


async def followed(
    client: httpx2.AsyncClient, run_id: str, frames: Frames, *, most: int = 1_000, **params: Any
) -> list[dict[str, str]]:
    """Follow a run to its end, or for *most* events, and return them."""
    found: list[dict[str, str]] = []
    async with (
        asyncio.timeout(SOON),
        client.stream("GET", f"/api/runs/{run_id}/stream", params=params) as answer,
    ):
        assert answer.status_code == 200
        async for frame in frames(answer):
            found.append(frame)
            if len(found) == most or frame["event"] == "end":
                break
    return found


async def answer(client: httpx2.AsyncClient, run: dict[str, Any], value: str) -> dict[str, Any]:
    path = f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer"
    said = await client.post(path, json={"response": {"value": value}})
    found: dict[str, Any] = said.json()
    return found


async def test_stream_begins_with_snapshot_and_ends(client: httpx2.AsyncClient, start: Start, frames: Frames) -> None:
    run = await start()
    following = asyncio.create_task(followed(client, run["id"], frames))

    await answer(client, await answer(client, run, "weather"), "fine")
    seen = await following

    snapshot, end = json.loads(seen[0]["data"]), json.loads(seen[-1]["data"])
    assert (seen[0]["event"], snapshot["id"], snapshot["tasks"]) == ("snapshot", run["id"], [])
    numbers = [int(frame["id"]) for frame in seen[1:-1]]
    assert numbers == list(range(snapshot["last_seq"] + 1, numbers[-1] + 1))
    assert (end["status"], end["resumable"], int(seen[-1]["id"])) == ("completed", True, numbers[-1])


async def test_header_wins_over_after_on_reconnect(client: httpx2.AsyncClient, start: Start, frames: Frames) -> None:
    run = await start()
    last = run["last_seq"]

    client.headers["Last-Event-ID"] = str(last - 1)
    seen = await followed(client, run["id"], frames, most=2, after=0)

    assert [(frame["id"], frame["event"]) for frame in seen] == [
        (str(last), "interaction_requested"),
        (str(last), "tasks"),
    ]


@pytest.mark.parametrize("after", ["nope", "-2", "99"])
async def test_unknown_position_is_refused(client: httpx2.AsyncClient, start: Start, after: str) -> None:
    run = await start()

    refused = await client.get(f"/api/runs/{run['id']}/stream?after={after}")

    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "after")


async def test_stream_shows_jump_and_what_follows(client: httpx2.AsyncClient, start: Start, frames: Frames) -> None:
    run = await answer(client, await start(), "weather")

    await client.post(f"/api/runs/{run['id']}/jump", json={"module": "topic"})
    seen = await followed(client, run["id"], frames, most=3, after=run["last_seq"])

    assert [frame["event"] for frame in seen][:2] == ["branch", "jump_requested"]
    assert json.loads(seen[0]["data"])["from"] == run["branch_id"]


async def test_two_hosts_share_a_run(
    serve: Serve, make_client: MakeClient, client: httpx2.AsyncClient, start: Start, frames: Frames
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    other = await make_client(key=key, base_url=await serve())
    run = await start()
    watching = [asyncio.create_task(followed(one, run["id"], frames, after=-1)) for one in (client, other)]

    second = await answer(other, run, "weather")
    third = await answer(client, second, "fine")
    here, there = await asyncio.gather(*watching)

    assert third["status"] == "completed"
    events = [[frame["id"] for frame in seen if frame["event"] not in ("tasks", "end")] for seen in (here, there)]
    assert events[0] == events[1] == [str(seq) for seq in range(third["last_seq"] + 1)]
    assert await answer(other, second, "fine") == third


async def test_answers_on_two_hosts_at_once_have_one_winner(
    serve: Serve, make_client: MakeClient, client: httpx2.AsyncClient, start: Start
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    other = await make_client(key=key, base_url=await serve())
    for number in range(20):
        run = await start()
        path = f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer"
        bodies = [{"response": {"value": f"{number} {index}"}} for index in range(2)]
        posts = [one.post(path, json=body) for one, body in zip((client, other), bodies, strict=True)]
        answers = await asyncio.gather(*posts)
        assert sorted(one.status_code for one in answers) == [200, 409]


async def test_answer_and_cancel_at_once_have_one_winner(client: httpx2.AsyncClient, start: Start) -> None:
    for _ in range(20):
        run = await start()
        path = f"/api/runs/{run['id']}"
        asked = run["question"]["interaction_id"]
        said, cancelled = await asyncio.gather(
            client.post(f"{path}/interactions/{asked}/answer", json={"response": {"value": "x"}}),
            client.post(f"{path}/cancel"),
        )
        assert cancelled.status_code == 200
        assert said.status_code in (200, 409)
        assert (await client.get(path)).json()["status"] == "cancelled"
