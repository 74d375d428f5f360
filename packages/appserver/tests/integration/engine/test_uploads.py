"""Uploads: a person's file answers a question, and what is not asked for, too large or cut off leaves nothing."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from appdb import Claimer, Database, Task, TaskQueue
from appserver.tasks.uploads import ACTOR, CLAIM_SECONDS, MAX_FILES
from appsupport.workflows.bad_answers import asking

Start = Callable[..., Awaitable[dict[str, Any]]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
MOST = 1_500_000
WANTED = {"title": "A picture of your pet", "media_types": ["image/*"], "max_bytes": MOST}


@pytest.fixture
async def run(start: Start) -> dict[str, Any]:
    output = {"file": "{{ modules.ask }}"}
    return await start(definition={**asking("user.file_input@1", WANTED), "output": output})


def question_of(run: dict[str, Any]) -> str:
    return f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}"


async def upload(client: httpx2.AsyncClient, run: dict[str, Any], body: Any = PICTURE, **options: Any) -> Any:
    headers = {"Content-Type": options.pop("said", "image/png")}
    return await client.post(f"{question_of(run)}/files", content=body, headers=headers, params=options)


async def check_nothing_left(client: httpx2.AsyncClient, database: Database, run: dict[str, Any]) -> None:
    assert (await client.get("/api/contents")).json()["items"] == []
    assert (await client.get("/api/tasks")).json()["items"] == []
    for collection in ("media.files", "media.chunks", "generated_content"):
        assert await database.collection(collection).count_documents({}) == 0
    now = (await client.get(f"/api/runs/{run['id']}")).json()
    assert (now["status"], now["last_seq"]) == ("awaiting_input", run["last_seq"])


async def pieces(size: int) -> AsyncIterator[bytes]:
    yield PICTURE
    for _ in range(size // 100_000):
        yield bytes(100_000)


async def test_uploaded_file_answers_its_question(client: httpx2.AsyncClient, run: dict[str, Any]) -> None:
    body = PICTURE + bytes(1_200_000)
    posted = await upload(client, run, body, filename="../../etc/пёс.png")
    file = posted.json()
    answered = await client.post(f"{question_of(run)}/answer", json={"response": {"content_id": file["id"]}})
    read = await client.get(file["url"])

    assert posted.status_code == 201, posted.text
    assert (file["sha256"], file["size"]) == (hashlib.sha256(body).hexdigest(), len(body))
    assert (file["kind"], file["media_type"]) == ("image", "image/png")
    assert answered.json()["output"]["file"] == {
        "content_id": file["id"],
        "kind": "image",
        "media_type": "image/png",
        "bytes": len(body),
        "filename": "пёс.png",
    }
    assert (read.content, read.headers["content-type"]) == (body, "image/png")
    assert read.headers["content-disposition"] == f"inline; filename*=UTF-8''{quote('пёс.png')}"
    assert (await client.delete(f"/api/runs/{run['id']}")).status_code == 204
    assert (await client.get(f"/api/contents/{file['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "said", "type_"),
    [
        (b"<svg onload=alert(1)>", "image/png", "text/plain"),
        (b"\x00\x01\x02 no picture", "image/png", "application/octet-stream"),
        (b"%PDF-1.7 \x00", "image/png", "application/pdf"),
        (b"<html>", "text/html", "text/html"),
        (b"plain words", "nonsense", "text/plain"),
    ],
)
async def test_file_of_other_type_is_refused(
    client: httpx2.AsyncClient, database: Database, run: dict[str, Any], body: bytes, said: str, type_: str
) -> None:
    refused = await upload(client, run, body, said=said)

    assert (refused.status_code, type_ in refused.json()["detail"]) == (415, True), refused.text
    await check_nothing_left(client, database, run)


async def test_empty_file_is_refused(client: httpx2.AsyncClient, database: Database, start: Start) -> None:
    run = await start(definition=asking("user.file_input@1", {"title": "Any"}))

    assert (await upload(client, run, b"", said="application/pdf")).status_code == 415
    await check_nothing_left(client, database, run)


@pytest.mark.parametrize("body", [PICTURE + bytes(MOST), pieces(MOST)], ids=["announced", "streamed"])
async def test_file_that_is_too_large_leaves_nothing(
    client: httpx2.AsyncClient, database: Database, run: dict[str, Any], body: Any
) -> None:
    refused = await upload(client, run, body)

    assert (refused.status_code, f"{MOST:,}" in refused.json()["detail"]) == (413, True), refused.text
    await check_nothing_left(client, database, run)


async def test_host_takes_no_more_than_its_own_limit(
    serve: Callable[..., Awaitable[str]], client: httpx2.AsyncClient, make_client: MakeClient, run: dict[str, Any]
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    small = await make_client(key=key, base_url=await serve(upload_max_bytes=len(PICTURE)))

    statuses = [(await upload(small, run, PICTURE + more)).status_code for more in (b"", b"x")]

    assert statuses == [201, 413]


async def test_upload_that_is_cut_off_leaves_nothing(
    client: httpx2.AsyncClient, database: Database, run: dict[str, Any], address: str
) -> None:
    where = urlsplit(address)
    head = (
        f"POST {question_of(run)}/files HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: image/png\r\n"
        f"Authorization: {client.headers['Authorization']}\r\nContent-Length: 1000000\r\n\r\n"
    )
    for sent in (0, 1, 500_000):
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(head.encode() + (PICTURE + bytes(sent))[:sent])
        await writer.drain()
        # So that the host reads the body already.
        await client.get("/healthz/live")
        writer.close()
        await writer.wait_closed()

    await client.get("/healthz/live")
    await check_nothing_left(client, database, run)


async def test_file_of_another_owner_is_no_answer(
    client: httpx2.AsyncClient, make_client: MakeClient, start: Start, run: dict[str, Any]
) -> None:
    stranger = await make_client()
    theirs = await start(stranger, definition=asking("user.file_input@1", WANTED))
    file = (await upload(stranger, theirs)).json()

    answered = await client.post(f"{question_of(run)}/answer", json={"response": {"content_id": file["id"]}})
    uploaded = await upload(stranger, run)

    assert answered.json()["status"] == "awaiting_input"
    assert "no such file" in answered.json()["question"]["message"]
    assert uploaded.status_code == 404
    assert (await client.get("/api/contents")).json()["items"] == []


async def test_page_offers_to_send_a_file(client: httpx2.AsyncClient, run: dict[str, Any]) -> None:
    page = (await client.get(f"/runs/{run['id']}", headers={"Accept": "text/html"})).text
    file = (await upload(client, run)).json()

    sent = {"interaction_id": run["question"]["interaction_id"], "content_id": file["id"]}
    answered = await client.post(f"/runs/{run['id']}/answer", data=sent)

    assert 'type="file" data-upload accept="image/*"' in page
    assert answered.status_code == 303
    assert (await client.get(f"/api/runs/{run['id']}")).json()["status"] == "completed"


async def test_file_is_taken_only_where_one_is_asked_for(
    client: httpx2.AsyncClient, start: Start, run: dict[str, Any]
) -> None:
    other = await start(project="other")
    unknown = {**run, "question": {"interaction_id": "int_x"}}

    codes = [(await upload(client, one)).json()["facts"]["code"] for one in (other, unknown)]

    assert codes == ["action_refused", "undone"]


async def test_files_of_a_question_are_bounded(client: httpx2.AsyncClient, run: dict[str, Any]) -> None:
    uploaded = await asyncio.gather(*(upload(client, run) for _ in range(MAX_FILES + 5)))
    uploaded.append(await upload(client, run))
    stored = [one for one in uploaded if one.status_code == 201]
    refused = [one for one in uploaded if one.status_code != 201]

    assert len({one.json()["id"] for one in stored}) == MAX_FILES
    assert {(one.status_code, one.json()["facts"]["code"]) for one in refused} == {(409, "action_refused")}


@pytest.mark.parametrize("way", ["cancel", "delete"])
async def test_run_that_ends_during_upload_refuses_the_file_at_once(
    client: httpx2.AsyncClient, run: dict[str, Any], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, address = TaskQueue.claim, f"/api/runs/{run['id']}"

    async def end_and_claim(queue: TaskQueue, claimer: Claimer, **options: Any) -> list[Task]:
        if claimer.handlers == (f"{ACTOR}@1",):
            await (client.post(f"{address}/cancel", json={}) if way == "cancel" else client.delete(address))
        return await claim(queue, claimer, **options)

    monkeypatch.setattr(TaskQueue, "claim", end_and_claim)
    asked_at = time.monotonic()
    refused = await upload(client, run)

    assert (refused.status_code, refused.json()["facts"]["code"]) == (409, "action_refused")
    assert time.monotonic() - asked_at < CLAIM_SECONDS / 3
