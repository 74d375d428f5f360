"""The page of a task that is no film: what an actor gave is shown as what it is."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from appdb import Claimer, Database, Lease, RegistryRepository, Task, TaskQueue
from appdb.models import AnnouncedActor, AnnouncedWorker, Content, ContentKind

Store = Callable[..., Awaitable[Content]]
Post = Callable[[], Awaitable[tuple[Task, Lease]]]

CLAIMER = Claimer(worker_id="w1", queues=("media",), handlers=("free@1",))


@pytest.fixture
def post(visitor: httpx2.AsyncClient, queue: TaskQueue) -> Post:
    """Start a task of the actor ``free`` in the visitor's name, and claim it."""

    async def start() -> tuple[Task, Lease]:
        # The page's form gives the visitor a cookie.
        form = await visitor.post("/generate", data={"script": "One."})
        await visitor.post(f"{form.headers['location']}/cancel")
        posted = await visitor.post("/api/tasks", json={"actor": "free", "payload": {"title": ["no", "text"]}})
        assert posted.status_code == 201, posted.text
        (task,) = await queue.claim(CLAIMER)
        return task, Lease.of(task)

    return start


async def page_of(visitor: httpx2.AsyncClient, task: Task) -> str:
    answer = await visitor.get(f"/tasks/{task.id}")
    assert answer.status_code == 200
    return answer.text


async def test_result_is_shown_as_texts_and_json(visitor: httpx2.AsyncClient, post: Post, queue: TaskQueue) -> None:
    task, lease = await post()
    result: dict[str, Any] = {"text": "Hello, <b>Ada</b>!", "parts": [1, {"ü": None}]}
    await queue.complete(lease, result)

    text = await page_of(visitor, task)

    assert '<p class="words" dir="auto">Hello, &lt;b&gt;Ada&lt;/b&gt;!</p>' in text
    assert "&#34;ü&#34;: null" in text
    assert '<h1 dir="auto">free</h1>' in text
    assert not re.search(r"[Vv]ideo is ready|Scenes|<video", text)


@pytest.mark.parametrize(
    ("media_type", "shown"),
    [
        ("image/png", '<img src="{url}" alt="About it"'),
        ("audio/wav", '<audio controls preload="metadata" aria-label="it.bin" src="{url}"'),
        ("video/webm", '<video controls playsinline preload="metadata" aria-label="it.bin" src="{url}"'),
        ("text/plain", 'data-text="{url}"'),
        ("application/json", 'data-text="{url}"'),
        ("text/html", 'data-text="{url}"'),
        ("image/svg+xml", None),
        ("application/zip", None),
    ],
)
async def test_file_is_embedded_by_type_or_linked(
    visitor: httpx2.AsyncClient, post: Post, store: Store, media_type: str, shown: str | None
) -> None:
    task, _ = await post()
    item = {"kind": ContentKind.TEXT, "role": "output", "index": None, "caption": "About it"}
    made = await store(task, key="it", filename="it.bin", media_type=media_type, **item)

    text = await page_of(visitor, task)

    url = f"/api/contents/{made.id}/file/{made.sha256}"
    assert f'<a href="{url}?download=true">it.bin</a>' in text
    if shown is None:
        assert not re.search(r"<(img|audio|video|iframe|object|embed)[^>]*api/contents|data-text", text)
    else:
        assert shown.format(url=url) in text


async def test_page_tells_since_when_task_is_unattended(
    visitor: httpx2.AsyncClient, post: Post, database: Database
) -> None:
    task, _ = await post()
    attended = await page_of(visitor, task)
    registry = RegistryRepository(database)
    seen_at = (await registry.actor("free")).seen_at
    await registry.withdraw("w1")
    alone = await page_of(visitor, task)
    home = (await visitor.get("/")).text
    worker = AnnouncedWorker(id="w2", host="h", pid=1, queues=["media"], actors=["free@2"], slots=1)
    await registry.announce(worker, [])
    still_alone = await page_of(visitor, task)

    assert re.search(r'id="unattended" hidden', attended)
    for text in (alone, still_alone):
        assert "Nobody works on this now: no worker that can do it" in text
        assert f'<time datetime="{seen_at.isoformat()}">' in text
    assert "What you start now waits: no worker that can do it" in home
    assert "Running, 0 %, but nobody works on it" in home


async def test_longest_script_is_announced_one(visitor: httpx2.AsyncClient, database: Database) -> None:
    schema = {"type": "object", "properties": {"script": {"type": "string", "maxLength": 7}}}
    actor = AnnouncedActor(
        name="media",
        version=1,
        queue="media",
        description="",
        payload_schema=schema,
        max_attempts=1,
        timeout_seconds=1.0,
    )
    worker = AnnouncedWorker(id="w1", host="h", pid=1, queues=["media"], actors=["media@1"], slots=1)
    await RegistryRepository(database).announce(worker, [actor])

    home = (await visitor.get("/")).text
    refused = await visitor.post("/generate", data={"script": "12345678"})

    assert 'data-max="7"' in home
    assert "maxlength" not in home
    assert "Script: it has 8 characters; at most 7 are allowed" in refused.text
