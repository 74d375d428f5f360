"""Callers: guests and keys, what they may see, and what another site's page may not do in their name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from appdb import Lease, Task
from appdb.models import Content

Submit = Callable[..., Awaitable[dict[str, Any]]]
Claim = Callable[[], Awaitable[tuple[Task, Lease]]]
Store = Callable[..., Awaitable[Content]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
Serve = Callable[..., Awaitable[str]]

SCRIPT = {"script": "One.\r\n\r\nTwo.", "title": "", "voice": "en"}


async def test_guest_gets_working_key(visitor: httpx2.AsyncClient) -> None:
    made = await visitor.post("/api/guests")

    assert made.status_code == 201
    assert made.json().keys() == {"user_id", "key"}
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    assert (await visitor.get("/api/tasks", headers=headers)).status_code == 200


@pytest.mark.usefixtures("announced")
async def test_host_without_guests_gives_no_keys(serve: Serve) -> None:
    address = await serve(guests=False)
    async with httpx2.AsyncClient(base_url=address, headers={"Origin": address}) as visitor:
        assert (await visitor.post("/api/guests")).status_code == 403
        assert (await visitor.post("/generate", data=SCRIPT)).status_code == 403


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer nonsense", "Bearer app_x_y", "Basic YTpi", "Bearer app__", b"Bearer app_\xe9_\xe9"],
)
async def test_answer_without_key_tells_how_to_get_one(visitor: httpx2.AsyncClient, header: str | bytes | None) -> None:
    value = header.encode() if isinstance(header, str) else header
    answer = await visitor.get("/api/tasks", headers=[] if value is None else [(b"Authorization", value)])

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "POST /api/guests" in answer.json()["detail"]


async def test_changed_key_is_refused(visitor: httpx2.AsyncClient) -> None:
    key = (await visitor.post("/api/guests")).json()["key"]
    changed = key[:-1] + ("a" if key[-1] != "a" else "b")

    assert (await visitor.get("/api/tasks", headers={"Authorization": f"Bearer {changed}"})).status_code == 401


async def test_another_users_documents_look_missing(
    client: httpx2.AsyncClient, make_client: MakeClient, submit: Submit, claim: Claim, store: Store
) -> None:
    task = await submit(client)
    claimed, _ = await claim()
    content = await store(claimed)
    stranger = await make_client()

    for method, path in [
        ("GET", "/api/tasks/{task}"),
        ("POST", "/api/tasks/{task}/cancel"),
        ("GET", "/api/tasks/{task}/stream"),
        ("GET", "/api/contents?task_id={task}"),
        ("GET", "/api/contents/{content}"),
        ("GET", "/api/contents/{content}/file"),
        ("HEAD", "/api/contents/{content}/file"),
        ("GET", "/api/contents/{content}/file/0123"),
        ("GET", "/tasks/{task}"),
        ("POST", "/tasks/{task}/cancel"),
    ]:
        theirs = await stranger.request(method, path.format(task=task["id"], content=content.id))
        missing = await stranger.request(method, path.format(task="tq_missing", content="gc_missing"))
        assert (theirs.status_code, missing.status_code) == (404, 404), (method, path)
        same = theirs.text.replace(task["id"], "tq_missing").replace(content.id, "gc_missing")
        assert same == missing.text

    assert (await stranger.get("/api/tasks")).json()["items"] == []
    assert (await stranger.get("/api/contents")).json()["items"] == []
    assert (await client.get(f"/api/tasks/{task['id']}")).json()["state"] == "processing"


async def test_form_makes_guest_with_safe_cookie(visitor: httpx2.AsyncClient) -> None:
    answer = await visitor.post("/generate", data=SCRIPT)

    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("app_key=app_")
    for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=31536000"):
        assert part in cookie
    assert "Secure" not in cookie
    task = (await visitor.get("/api/tasks")).json()["items"][0]["id"]
    assert (await visitor.get(f"/api/tasks/{task}")).json()["payload"]["script"] == "One.\n\nTwo."


async def test_known_visitor_keeps_cookie(visitor: httpx2.AsyncClient) -> None:
    await visitor.post("/generate", data=SCRIPT)

    again = await visitor.post("/generate", data=SCRIPT)

    assert "set-cookie" not in again.headers
    assert len((await visitor.get("/api/tasks")).json()["items"]) == 2


FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": ""},
    {"Origin": "http://["},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_sites_page_changes_nothing(visitor: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    await visitor.post("/generate", data=SCRIPT)
    task = (await visitor.get("/api/tasks")).json()["items"][0]
    body = {"actor": "free", "payload": {}}

    answers = [
        await visitor.post("/api/tasks", json=body, headers=headers),
        await visitor.post(f"/api/tasks/{task['id']}/cancel", headers=headers),
        await visitor.post(f"/tasks/{task['id']}/cancel", headers=headers),
        await visitor.post("/generate", data=SCRIPT, headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert [item["state"] for item in (await visitor.get("/api/tasks")).json()["items"]] == ["queued"]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_sites_form_cannot_replace_guest(visitor: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    # With SameSite=Lax such a form arrives without the cookie.
    answer = await visitor.post("/generate", data=SCRIPT, headers=headers)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_own_page_changes_things_with_cookie(visitor: httpx2.AsyncClient) -> None:
    await visitor.post("/generate", data=SCRIPT)
    task = (await visitor.get("/api/tasks")).json()["items"][0]

    answer = await visitor.post(f"/api/tasks/{task['id']}/cancel", headers={"Sec-Fetch-Site": "same-origin"})

    assert answer.json()["state"] == "cancelled"


async def test_key_needs_no_origin(client: httpx2.AsyncClient) -> None:
    headers = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}

    assert (await client.post("/api/tasks", json={"actor": "free", "payload": {}}, headers=headers)).status_code == 201


async def test_answers_carry_safe_headers(visitor: httpx2.AsyncClient) -> None:
    for path in ("/", "/api/tasks", "/nope", "/static/page.css", "/docs", "/openapi.json"):
        headers = (await visitor.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert len(headers["x-request-id"]) == 32
    page = (await visitor.get("/")).headers["content-security-policy"]
    assert "unsafe" not in page
    assert "http" not in page
