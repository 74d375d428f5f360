"""Content items and their bytes: lists, ranges, validators and what a browser may do with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from appdb import Lease, Task, TaskQueue
from appdb.models import Content, ContentKind
from appserver.http import sending

DATA = bytes(range(256)) * 4
BIG = bytes(range(251)) * 4_000
"""Several GridFS chunks, and no chunk begins as another does."""

Submit = Callable[..., Awaitable[dict[str, Any]]]
Claim = Callable[[], Awaitable[tuple[Task, Lease]]]
Frames = Callable[[httpx2.Response], AsyncIterator[dict[str, str]]]
Store = Callable[..., Awaitable[Content]]


@pytest.fixture
async def stored(client: httpx2.AsyncClient, submit: Submit, claim: Claim, store: Store) -> Content:
    await submit(client)
    task, _ = await claim()
    return await store(task)


@pytest.fixture
def url(stored: Content) -> str:
    return f"/api/contents/{stored.id}/file/{stored.sha256}"


async def test_item_hides_place_of_its_bytes(client: httpx2.AsyncClient, stored: Content, url: str) -> None:
    item = (await client.get(f"/api/contents/{stored.id}")).json()

    assert (item["kind"], item["caption"], item["index"], item["size"], item["url"]) == ("image", "One.", 0, 1024, url)
    assert {"file_id", "owner_id", "attempt", "generation_id"}.isdisjoint(item)


async def test_whole_file_comes_with_headers(client: httpx2.AsyncClient, stored: Content, url: str) -> None:
    answer = await client.get(url)

    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["etag"] == f'"{stored.sha256}"'
    assert answer.headers["content-length"] == "1024"
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["content-disposition"] == "inline; filename*=UTF-8''scene-001.png"
    assert "private" in answer.headers["cache-control"]


async def test_head_answers_without_bytes(client: httpx2.AsyncClient, url: str) -> None:
    whole, head = await client.get(url), await client.head(url)

    assert (head.status_code, head.content) == (200, b"")
    ignored = {"x-request-id", "date"}
    assert {n: v for n, v in head.headers.items() if n not in ignored} == {
        n: v for n, v in whole.headers.items() if n not in ignored
    }


@pytest.mark.parametrize(
    ("header", "status", "start", "end"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=0-", 206, 0, 1024),
        ("bytes=10-19", 206, 10, 20),
        ("bytes=1000-5000", 206, 1000, 1024),
        ("bytes=-24", 206, 1000, 1024),
        ("bytes=-5000", 206, 0, 1024),
        ("bytes=0-1,4-5", 200, 0, 1024),
        ("bytes=9-3", 200, 0, 1024),
        ("lines=1-2", 200, 0, 1024),
        ("bytes=", 200, 0, 1024),
    ],
)
async def test_range_gives_its_bytes(
    client: httpx2.AsyncClient, url: str, header: str, status: int, start: int, end: int
) -> None:
    answer = await client.get(url, headers={"Range": header})

    assert (answer.status_code, answer.content) == (status, DATA[start:end])
    assert answer.headers["content-length"] == str(end - start)
    expected = f"bytes {start}-{end - 1}/1024" if status == 206 else None
    assert answer.headers.get("content-range") == expected


async def test_head_ignores_range(client: httpx2.AsyncClient, url: str) -> None:
    answer = await client.head(url, headers={"Range": "bytes=0-9"})
    behind = await client.head(url, headers={"Range": "bytes=9999-"})

    assert (answer.status_code, answer.headers["content-length"]) == (200, "1024")
    assert "content-range" not in answer.headers
    assert behind.status_code == 200


async def test_address_names_one_version(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, store: Store, queue: TaskQueue
) -> None:
    await submit(client)
    task, lease = await claim()
    first = await store(task)
    old = (await client.get(f"/api/contents/{first.id}")).json()["url"]
    kept = await client.get(old)
    await queue.release(lease)
    again, _ = await claim()
    await store(again, data=BIG, seq=again.event_count)

    answer = await client.get(old, headers={"Range": "bytes=512-", "If-Range": f'"{first.sha256}"'})
    new = (await client.get(f"/api/contents/{first.id}")).json()["url"]
    latest = await client.get(f"/api/contents/{first.id}/file")

    assert (kept.status_code, kept.content) == (200, DATA)
    assert kept.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert new != old
    assert (await client.get(new)).content == BIG
    assert (latest.content, latest.headers["cache-control"]) == (BIG, "private, no-cache")


async def test_event_tells_address_of_bytes(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, store: Store, queue: TaskQueue, frames: Frames
) -> None:
    task = await submit(client)
    claimed, lease = await claim()
    content = await store(claimed)
    await queue.complete(lease)

    async with client.stream("GET", f"/api/tasks/{task['id']}/stream?after=-1") as answer:
        told = [json.loads(frame["data"]) async for frame in frames(answer) if frame.get("event") == "content"]

    assert [event["data"]["url"] for event in told] == [f"/api/contents/{content.id}/file/{content.sha256}"]


@pytest.mark.parametrize("header", ["bytes=1024-", "bytes=99999-100000", "bytes=-0"])
async def test_range_after_end_is_refused(client: httpx2.AsyncClient, url: str, header: str) -> None:
    answer = await client.get(url, headers={"Range": header})

    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */1024")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_range_may_span_chunks(client: httpx2.AsyncClient, submit: Submit, claim: Claim, store: Store) -> None:
    await submit(client)
    task, _ = await claim()
    content = await store(task, data=BIG)

    answer = await client.get(f"/api/contents/{content.id}/file", headers={"Range": "bytes=261000-523000"})

    assert answer.content == BIG[261_000:523_001]


async def test_stalled_reader_is_dropped_and_resumes(
    client: httpx2.AsyncClient,
    submit: Submit,
    claim: Claim,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sending, "TAKEN_WITHIN_SECONDS", 0.3)
    caplog.set_level("INFO")
    await submit(client)
    task, _ = await claim()
    content = await store(task, data=BIG * 16)
    url = f"/api/contents/{content.id}/file/{content.sha256}"
    request = f"GET {url} HTTP/1.1\r\nHost: x\r\nAuthorization: {client.headers['authorization']}\r\n\r\n"
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port, limit=1024)
    writer.write(request.encode())
    async with asyncio.timeout(20):
        while "a reader took nothing for long and was let go" not in caplog.text:
            await asyncio.sleep(0.05)
        answer = await reader.read(-1)
    writer.close()
    taken = answer.partition(b"\r\n\r\n")[2]
    rest = await client.get(url, headers={"Range": f"bytes={len(taken)}-"})

    assert len(taken) < content.size
    assert taken + rest.content == BIG * 16
    assert "Traceback" not in caplog.text


async def test_known_etag_gives_304(client: httpx2.AsyncClient, stored: Content, url: str) -> None:
    for known in (f'"{stored.sha256}"', f'W/"{stored.sha256}"', f'"other", "{stored.sha256}"', "*"):
        answer = await client.get(url, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == f'"{stored.sha256}"'

    assert (await client.get(url, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_if_range_needs_known_version(client: httpx2.AsyncClient, stored: Content, url: str) -> None:
    async def status(condition: str) -> int:
        return (await client.get(url, headers={"Range": "bytes=0-9", "If-Range": condition})).status_code

    assert await status(f'"{stored.sha256}"') == 206
    assert await status('"other"') == 200
    assert await status(f'W/"{stored.sha256}"') == 200
    assert await status("Mon, 23 Nov 2026 00:00:00 GMT") == 200


@pytest.mark.parametrize(
    ("media_type", "shown"),
    [
        ("image/png", True),
        ("video/mp4", True),
        ("audio/wav", True),
        ("text/plain", True),
        ("text/html", False),
        ("image/svg+xml", False),
        ("application/pdf", False),
        ("application/javascript", False),
    ],
)
async def test_only_harmless_types_are_shown_inline(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, store: Store, media_type: str, shown: bool
) -> None:
    await submit(client)
    task, _ = await claim()
    content = await store(task, media_type=media_type, kind=ContentKind.TEXT)

    answer = await client.get(f"/api/contents/{content.id}/file")
    forced = await client.get(f"/api/contents/{content.id}/file?download=1")

    assert answer.headers["content-disposition"].startswith("inline" if shown else "attachment")
    assert forced.headers["content-disposition"].startswith("attachment")


async def test_file_name_cannot_break_header(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, store: Store
) -> None:
    await submit(client)
    task, _ = await claim()
    content = await store(task, filename='a"; x=ü\r\nSet-Cookie: b=c.png')

    answer = await client.get(f"/api/contents/{content.id}/file")

    assert answer.headers["content-disposition"] == (
        "inline; filename*=UTF-8''a%22%3B%20x%3D%C3%BC%0D%0ASet-Cookie%3A%20b%3Dc.png"
    )
    assert "set-cookie" not in answer.headers


async def test_items_are_listed_by_task_and_page(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, store: Store
) -> None:
    task = await submit(client)
    claimed, _ = await claim()
    made = [(await store(claimed, key=f"scene-{n}", index=n, seq=n)).id for n in range(3)]

    of_task = (await client.get("/api/contents", params={"task_id": task["id"]})).json()
    first = (await client.get("/api/contents", params={"limit": 2})).json()
    second = (await client.get("/api/contents", params={"limit": 2, "before": first["next"]})).json()

    assert [item["id"] for item in of_task["items"]] == made
    assert {item["id"] for item in first["items"] + second["items"]} == set(made)
    assert second["next"] is None


async def test_missing_item_is_not_found(client: httpx2.AsyncClient) -> None:
    for path in (
        "/api/contents/gc_x",
        "/api/contents/gc_x/file",
        "/api/contents?task_id=x",
    ):
        assert (await client.get(path)).status_code == 404
