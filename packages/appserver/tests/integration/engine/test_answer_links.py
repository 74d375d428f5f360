"""Answers by link, without a key, and drafts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from appdb import Database

Start = Callable[..., Awaitable[dict[str, Any]]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
APPROVE = {"id": "approve", "type": "user.approve@1", "in": {"title": "Shall we print it?"}}


def path_of(run: dict[str, Any]) -> str:
    return f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}"


@pytest.fixture
async def asking(start: Start) -> dict[str, Any]:
    """A run that asks what may be answered by link."""
    steps = [{"id": "print", "modules": [APPROVE]}]
    return await start(definition={"format": 1, "name": "printing", "steps": steps})


@pytest.fixture
async def guest(address: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody without a key."""
    async with httpx2.AsyncClient(base_url=address, timeout=20) as made:
        yield made


async def test_link_shows_and_answers_one_question(
    client: httpx2.AsyncClient, guest: httpx2.AsyncClient, asking: dict[str, Any]
) -> None:
    made = await client.post(f"{path_of(asking)}/links", json={"expires_seconds": 3600})
    headers = {"Answer-Token": made.json()["token"]}

    shown = await guest.get("/api/answers", headers=headers)
    bad = await guest.post("/api/answers", headers=headers, json={"response": {"approved": "maybe"}})
    taken = await guest.post("/api/answers", headers=headers, json={"response": {"approved": True}})
    other = await guest.post("/api/answers", headers=headers, json={"response": {"approved": False}})

    assert made.status_code == 201
    assert shown.json()["title"] == "Shall we print it?"
    assert {"run_id", "interaction_id", "project"}.isdisjoint(shown.json())
    assert (bad.status_code, taken.status_code, taken.json()) == (422, 200, {"accepted": True})
    assert (other.status_code, other.json()["facts"]["accepted"]) == (409, None)
    run = (await client.get(f"/api/runs/{asking['id']}")).json()
    assert run["status"] == "completed"
    told = (await client.get(path_of(asking))).json()
    assert told["answers"][0]["by"].startswith("lnk_")


async def test_wrong_or_revoked_token_finds_nothing(
    client: httpx2.AsyncClient, guest: httpx2.AsyncClient, asking: dict[str, Any]
) -> None:
    token = (await client.post(f"{path_of(asking)}/links", json={})).json()["token"]
    await client.delete(f"{path_of(asking)}/links")

    for one in (token, token[:-1], "x"):
        assert (await guest.get("/api/answers", headers={"Answer-Token": one})).status_code == 404
        body = {"response": {"approved": True}}
        assert (await guest.post("/api/answers", headers={"Answer-Token": one}, json=body)).status_code == 404
    assert (await guest.get("/api/answers")).status_code == 422


async def test_link_to_a_run_that_is_being_deleted_tells_nothing_of_it(
    client: httpx2.AsyncClient, guest: httpx2.AsyncClient, asking: dict[str, Any], database: Database
) -> None:
    headers = {"Answer-Token": (await client.post(f"{path_of(asking)}/links", json={})).json()["token"]}
    unknown = await guest.get("/api/answers", headers={"Answer-Token": "x"})
    await database.collection("workflow_runs").update_one({"_id": asking["id"]}, {"$set": {"deleting": True}})

    shown = await guest.get("/api/answers", headers=headers)
    answered = await guest.post("/api/answers", headers=headers, json={"response": {"approved": True}})

    assert shown.json() == answered.json() == unknown.json()
    assert shown.status_code == answered.status_code == 404


async def test_question_for_owner_alone_gets_no_link(
    client: httpx2.AsyncClient, make_client: MakeClient, start: Start, asking: dict[str, Any]
) -> None:
    run = await start()

    refused = await client.post(f"{path_of(run)}/links", json={})
    strangers = await (await make_client()).post(f"{path_of(asking)}/links", json={})

    assert (refused.status_code, refused.json()["facts"]["code"]) == (409, "link_refused")
    assert strangers.status_code == 404


async def test_answers_by_links_at_once_have_one_winner(
    client: httpx2.AsyncClient, guest: httpx2.AsyncClient, asking: dict[str, Any]
) -> None:
    tokens = [(await client.post(f"{path_of(asking)}/links", json={})).json()["token"] for _ in range(6)]
    bodies = [{"response": {"approved": number % 2 == 0}} for number in range(6)]

    posts = [
        guest.post("/api/answers", headers={"Answer-Token": token}, json=body)
        for token, body in zip(tokens, bodies, strict=True)
    ]
    statuses = Counter(answer.status_code for answer in await asyncio.gather(*posts))

    # Of two answers that may be given, those that say the same as the accepted one are the same answer again.
    assert statuses == {200: 3, 409: 3}


async def test_draft_is_kept_for_its_author(
    client: httpx2.AsyncClient, make_client: MakeClient, asking: dict[str, Any]
) -> None:
    path = f"{path_of(asking)}/draft"
    none = await client.get(path)

    await client.put(path, json={"value": {"approved": None}})
    kept = await client.get(path)
    strangers = await (await make_client()).get(path)
    large = await client.put(path, json={"value": "x" * 70_000})
    deleted = await client.delete(path)

    assert none.json() == {"value": None, "updated_at": None}
    assert kept.json()["value"] == {"approved": None}
    assert (strangers.status_code, large.status_code, deleted.status_code) == (404, 413, 204)
    assert (await client.get(path)).json()["value"] is None
    assert (await client.get(f"/api/runs/{asking['id']}")).json()["last_seq"] == asking["last_seq"]


async def until_draft_is_gone(client: httpx2.AsyncClient, path: str) -> None:
    async with asyncio.timeout(10):
        while (await client.get(f"{path}/draft")).json()["value"] is not None:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("by", ["key", "link", "page"])
async def test_draft_goes_once_an_answer_is_accepted(
    client: httpx2.AsyncClient, guest: httpx2.AsyncClient, asking: dict[str, Any], by: str
) -> None:
    path = path_of(asking)
    await client.put(f"{path}/draft", json={"value": {"approved": False}})
    refused = await client.post(f"{path}/answer", json={"response": {"approved": "perhaps"}})
    kept = await client.get(f"{path}/draft")

    match by:
        case "key":
            answered = await client.post(f"{path}/answer", json={"response": {"approved": True}})
        case "link":
            token = (await client.post(f"{path}/links", json={})).json()["token"]
            taken = {"Answer-Token": token}
            answered = await guest.post("/api/answers", headers=taken, json={"response": {"approved": True}})
        case _:
            form = {"interaction_id": asking["question"]["interaction_id"], "approved": "true"}
            answered = await client.post(f"/runs/{asking['id']}/answer", data=form)

    assert (refused.status_code, kept.json()["value"]) == (422, {"approved": False})
    assert answered.status_code < 400
    await until_draft_is_gone(client, path)


@pytest.mark.parametrize("how", ["expired", "jump", "retry", "reset", "cancel"])
async def test_draft_goes_once_its_question_is_asked_no_more(
    client: httpx2.AsyncClient, start: Start, how: str
) -> None:
    inputs = {"title": "Shall we print it?", **({"expires_seconds": 1} if how == "expired" else {})}
    steps = [{"id": "print", "modules": [APPROVE | {"in": inputs}]}]
    run = await start(definition={"format": 1, "name": "printing", "steps": steps})
    path, address = path_of(run), f"/api/runs/{run['id']}"
    put = await client.put(f"{path}/draft", json={"value": {"approved": False}})
    bodies = {"jump": {"module": "approve"}, "retry": {"module": "approve"}, "reset": {}, "cancel": {}}

    if how != "expired":
        assert (await client.post(f"{address}/{how}", json=bodies[how])).status_code == 200

    assert put.status_code == 200, put.text
    await until_draft_is_gone(client, path)


async def test_draft_stays_while_its_question_is_open(client: httpx2.AsyncClient, asking: dict[str, Any]) -> None:
    path, address = path_of(asking), f"/api/runs/{asking['id']}"
    await client.put(f"{path}/draft", json={"value": {"approved": False}})

    await client.post(f"{address}/signals", json={"name": "go"})
    await client.post(f"{address}/look")
    await client.post(f"{address}/jump?dry_run=true", json={"module": "approve"})
    await asyncio.sleep(2)

    assert (await client.get(f"{path}/draft")).json()["value"] == {"approved": False}
