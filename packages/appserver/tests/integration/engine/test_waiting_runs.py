"""Runs that wait for another, over HTTP: accepted, seen, followed and cancelled before they begin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from appserver.http.callers import COOKIE

Start = Callable[..., Awaitable[dict[str, Any]]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
SOON = 20


async def ended(client: httpx2.AsyncClient, run: dict[str, Any]) -> None:
    for value in ("weather", "fine"):
        address = f"/api/runs/{run['id']}"
        asked = (await client.get(address)).json()["question"]["interaction_id"]
        answer = await client.post(f"{address}/interactions/{asked}/answer", json={"response": {"value": value}})
        assert answer.status_code == 200, answer.text


async def has_status(client: httpx2.AsyncClient, run: dict[str, Any], status: str) -> dict[str, Any]:
    async with asyncio.timeout(SOON):
        while (now := (await client.get(f"/api/runs/{run['id']}")).json())["status"] != status:
            await asyncio.sleep(0.02)
    return dict(now)


async def test_start_behind_open_run_is_accepted_and_begins_by_itself(
    client: httpx2.AsyncClient, two_questions: dict[str, Any]
) -> None:
    body = {"definition": two_questions, "project": "film", "when_open": "enqueue"}
    first, *later = [await client.post("/api/runs", json=body) for _ in range(3)]

    assert [answer.status_code for answer in (first, *later)] == [201, 202, 202]
    runs = [answer.json() for answer in (first, *later)]
    assert [answer.headers["Location"] for answer in later] == [f"/api/runs/{run['id']}" for run in runs[1:]]
    seen = (await client.get(later[0].headers["Location"])).json()
    assert (seen["status"], seen["question"], seen["completed_at"]) == ("waiting", None, None)
    assert seen["actions"] == ["signal", "cancel"]
    listed = (await client.get("/api/runs", params={"project": "film", "status": "waiting"})).json()["items"]
    assert [run["id"] for run in listed] == [runs[2]["id"], runs[1]["id"]]

    await ended(client, runs[0])
    begun = await has_status(client, runs[1], "awaiting_input")
    assert begun["question"]["title"] == "What is the topic?"
    assert (await client.get(f"/api/runs/{runs[2]['id']}")).json()["status"] == "waiting"
    assert (await client.delete(f"/api/runs/{runs[1]['id']}")).status_code == 204
    await has_status(client, runs[2], "awaiting_input")


async def test_start_again_with_key_is_same_waiting_run(client: httpx2.AsyncClient, start: Start) -> None:
    first = await start(project="film")
    again = [await start(project="film", when_open="enqueue", key="k", status=202) for _ in range(2)]
    assert again[0] == again[1]
    await ended(client, first)
    await has_status(client, again[0], "awaiting_input")

    begun = await start(project="film", when_open="enqueue", key="k")
    assert begun["id"] == again[0]["id"]


async def test_waiting_run_is_its_owners_alone(
    client: httpx2.AsyncClient, make_client: MakeClient, start: Start
) -> None:
    await start(project="film")
    waiting = await start(project="film", when_open="enqueue", status=202)
    other = await make_client()
    theirs = await start(other, project="film", when_open="enqueue")

    assert theirs["status"] == "awaiting_input"
    address = f"/api/runs/{waiting['id']}"
    answers = [await other.get(address), await other.post(f"{address}/cancel"), await other.delete(address)]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert (await other.get("/api/runs", params={"status": "waiting"})).json()["items"] == []
    assert (await client.get(address)).json()["status"] == "waiting"


async def test_waiting_run_that_is_cancelled_never_begins(client: httpx2.AsyncClient, start: Start) -> None:
    first = await start(project="film")
    waiting, last = [await start(project="film", when_open="enqueue", status=202) for _ in range(2)]
    cancelled = await client.post(f"/api/runs/{waiting['id']}/cancel")
    await ended(client, first)
    await has_status(client, last, "awaiting_input")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert (await client.get(f"/api/runs/{waiting['id']}")).json()["status"] == "cancelled"


async def test_waiting_run_refuses_to_go_back(client: httpx2.AsyncClient, start: Start) -> None:
    await start(project="film")
    waiting = await start(project="film", when_open="enqueue", status=202)

    for way, body in (("reset", {}), ("jump", {"module": "topic"})):
        refused = await client.post(f"/api/runs/{waiting['id']}/{way}", json=body)
        assert (refused.status_code, refused.json()["facts"]["code"]) == (409, "action_refused")


async def test_start_that_does_not_fit_is_refused_and_not_accepted(
    client: httpx2.AsyncClient, start: Start, two_questions: dict[str, Any]
) -> None:
    asking = two_questions | {"input": {"type": "object", "required": ["n"]}}
    await start(project="film")

    refused = await start(definition=asking, project="film", when_open="enqueue", status=422)
    assert [error["field"] for error in refused["errors"]] == ["/input/n"]
    assert (await client.get("/api/runs", params={"status": "waiting"})).json()["items"] == []


async def test_stream_of_waiting_run_goes_on_when_it_begins(client: httpx2.AsyncClient, start: Start) -> None:
    first = await start(project="film")
    waiting = await start(project="film", when_open="enqueue", status=202)
    seen: list[str] = []
    async with asyncio.timeout(SOON), client.stream("GET", f"/api/runs/{waiting['id']}/stream") as stream:
        async for line in stream.aiter_lines():
            if not line.startswith("event: "):
                continue
            seen.append(line.removeprefix("event: "))
            if seen == ["snapshot"]:
                await ended(client, first)
            if seen[-1] == "interaction_requested":
                break

    assert seen == ["snapshot", "workflow_resumed", "step_started", "module_started", "interaction_requested"]


async def test_page_of_waiting_run_says_so_and_goes_on(
    visitor: httpx2.AsyncClient, client: httpx2.AsyncClient, start: Start
) -> None:
    await start(project="film")
    waiting = await start(project="film", when_open="enqueue", status=202)
    visitor.cookies.set(COOKIE, client.headers["Authorization"].removeprefix("Bearer "))
    page = await visitor.get(f"/runs/{waiting['id']}")

    assert page.status_code == 200
    assert "Waits for the run before it" in page.text
    assert 'http-equiv="refresh"' in page.text
