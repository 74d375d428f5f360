"""The caller's own account: who one is, and keys that are made, listed, renamed and revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
SOON = 10


async def made_key(client: httpx2.AsyncClient, name: str = "laptop", **fields: Any) -> dict[str, Any]:
    answer = await client.post("/api/me/keys", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/me/keys/{key['id']}"
    return key


async def names(client: httpx2.AsyncClient) -> list[str]:
    return [key["name"] for key in (await client.get("/api/me/keys")).json()["items"]]


async def test_guest_is_told_who_it_is(client: httpx2.AsyncClient, visitor: httpx2.AsyncClient) -> None:
    me = (await client.get("/api/me")).json()
    keys = (await client.get("/api/me/keys")).json()["items"]

    assert (me["is_guest"], me["username"], me["roles"]) == (True, None, ["user"])
    assert [key["id"] for key in keys] == [me["key_id"]]
    assert (await visitor.get("/api/me")).status_code == 401


async def test_made_key_is_its_owner_and_shown_once(client: httpx2.AsyncClient, make_client: MakeClient) -> None:
    made = await made_key(client)
    other = await make_client(key=made["key"])

    mine, theirs = (await client.get("/api/me")).json(), (await other.get("/api/me")).json()
    listed = await client.get("/api/me/keys")

    assert theirs == {**mine, "key_id": made["id"]}
    assert await names(client) == ["laptop", ""]
    assert made["key"] not in listed.text
    assert {"digest", "key", "secret"}.isdisjoint(listed.json()["items"][0])


async def test_revoked_key_is_nobodys_at_once(client: httpx2.AsyncClient, make_client: MakeClient) -> None:
    made = await made_key(client)
    other = await make_client(key=made["key"])
    assert (await other.get("/api/me")).status_code == 200

    first = await client.delete(f"/api/me/keys/{made['id']}")
    again = await client.delete(f"/api/me/keys/{made['id']}")

    assert first.json()["revoked_at"] is not None
    assert (again.status_code, again.json()) == (200, first.json())
    assert (await other.get("/api/me")).status_code == 401
    assert await names(client) == [""]


async def test_key_can_revoke_itself(client: httpx2.AsyncClient) -> None:
    me = (await client.get("/api/me")).json()

    assert (await client.delete(f"/api/me/keys/{me['key_id']}")).status_code == 200
    assert (await client.get("/api/me")).status_code == 401


async def test_key_ends_in_time(client: httpx2.AsyncClient, make_client: MakeClient) -> None:
    made = await made_key(client, expires_in_seconds=1)
    other = await make_client(key=made["key"])
    assert made["expires_at"] is not None

    deadline = time.monotonic() + SOON
    while (await other.get("/api/me")).status_code == 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)

    assert (await client.get("/api/me")).status_code == 200


async def test_key_is_renamed(client: httpx2.AsyncClient) -> None:
    made = await made_key(client)

    answer = await client.patch(f"/api/me/keys/{made['id']}", json={"name": "desk"})

    assert (answer.status_code, answer.json()["name"]) == (200, "desk")
    assert await names(client) == ["desk", ""]


async def test_anothers_keys_look_missing(client: httpx2.AsyncClient, make_client: MakeClient) -> None:
    made, stranger = await made_key(client), await make_client()

    for key_id in (made["id"], "missing", "$ne", "%00"):
        path = f"/api/me/keys/{key_id}"
        renamed, revoked = await stranger.patch(path, json={"name": "mine"}), await stranger.delete(path)
        assert (renamed.status_code, revoked.status_code) == (404, 404), key_id

    assert await names(client) == ["laptop", ""]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "line\nbreak"},
        {"name": 1},
        {"name": {"$ne": ""}},
        {"name": "x", "expires_in_seconds": 0},
        {"name": "x", "expires_in_seconds": 1e12},
        {"name": "x", "expires_in_seconds": "soon"},
        {"name": "x", "scopes": ["tasks:read"]},
    ],
)
async def test_misfit_makes_no_key(client: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    answer = await client.post("/api/me/keys", json=body)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]
    assert await names(client) == [""]


async def test_fifty_keys_are_the_most(client: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/api/me/keys", json={"name": f"k{n}"}) for n in range(52)))

    refused = [answer for answer in answers if answer.status_code != 201]
    assert [answer.status_code for answer in refused] == [409] * 3
    assert "revoke one first" in refused[0].json()["detail"]
    assert len(await names(client)) == 50


async def test_another_sites_page_makes_no_key(visitor: httpx2.AsyncClient, client: httpx2.AsyncClient) -> None:
    visitor.cookies.set("app_key", client.headers["Authorization"].removeprefix("Bearer "))
    foreign = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}

    made = await visitor.post("/api/me/keys", json={"name": "theirs"}, headers=foreign)
    revoked = await visitor.delete(f"/api/me/keys/{(await client.get('/api/me')).json()['key_id']}", headers=foreign)

    assert (made.status_code, revoked.status_code) == (403, 403)
    assert await names(client) == [""]
