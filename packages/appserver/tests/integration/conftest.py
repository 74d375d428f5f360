"""A running API host over a database of the test's own, and hands that do what a worker would."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn

from appdb import Claimer, ContentRepository, Database, Lease, RegistryRepository, Task, TaskQueue
from appdb.models import AnnouncedActor, AnnouncedWorker, Content, ContentKind, NewContent
from appserver import ServerSettings, create_app

MEDIA_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["operation", "script"],
    "properties": {
        "operation": {"const": "script2video"},
        "script": {"type": "string", "minLength": 1, "maxLength": 20_000, "pattern": r"[^\s\x00-\x1f\x7f-\x9f]"},
        "title": {"anyOf": [{"type": "string", "maxLength": 120}, {"type": "null"}]},
        "voice": {"type": "string", "minLength": 2, "maxLength": 40},
        "seed": {"type": "integer", "minimum": 0},
    },
}
CLAIMER = Claimer(worker_id="w1", queues=("media",), handlers=("media@1",))

Frame = dict[str, str]
Serve = Callable[..., Awaitable[str]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]


@pytest.fixture
def queue(database: Database) -> TaskQueue:
    return TaskQueue(database)


@pytest.fixture
def contents(database: Database) -> ContentRepository:
    return ContentRepository(database)


@pytest.fixture
async def announced(database: Database) -> None:
    """Two actors: ``media`` as the page knows it, and ``free`` that takes anything."""
    common = {"version": 1, "queue": "media", "max_attempts": 2, "timeout_seconds": 60.0}
    worker = AnnouncedWorker(id="w1", host="h", pid=1, queues=["media"], actors=["media@1", "free@1"], slots=1)
    media = AnnouncedActor(name="media", description="Makes videos.", payload_schema=MEDIA_SCHEMA, **common)  # type: ignore[arg-type]
    free = AnnouncedActor(name="free", description="Takes anything.", payload_schema={"type": "object"}, **common)  # type: ignore[arg-type]
    await RegistryRepository(database).announce(worker, [media, free])


@asynccontextmanager
async def _running(settings: ServerSettings) -> AsyncIterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(settings), log_config=None, access_log=False, timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        async with asyncio.timeout(20):
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
        assert server.started
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listening.close()


@pytest.fixture
async def serve(mongo_uri: str, database: Database) -> AsyncIterator[Serve]:
    """Start an API host with the given settings, and return its address."""
    async with AsyncExitStack() as stack:

        async def start(**options: object) -> str:
            settings = ServerSettings(**{"APP_MONGO_URI": mongo_uri, "APP_MONGO_DATABASE": database.name, **options})  # type: ignore[arg-type]
            return await stack.enter_async_context(_running(settings))

        yield start


@pytest.fixture
async def address(serve: Serve, announced: None) -> str:  # noqa: ARG001  # a fixture cannot say usefixtures
    """The address of a host whose actors are announced."""
    return await serve()


@pytest.fixture
async def make_client(address: str) -> AsyncIterator[MakeClient]:
    """Return clients, each a user of its own unless ``key`` is given."""
    async with AsyncExitStack() as stack:

        async def make(*, key: str | None = None, base_url: str = address) -> httpx2.AsyncClient:
            client = await stack.enter_async_context(httpx2.AsyncClient(base_url=base_url, timeout=20))
            if key is None:
                key = (await client.post("/api/guests")).json()["key"]
            client.headers["Authorization"] = f"Bearer {key}"
            return client

        yield make


@pytest.fixture
async def client(make_client: MakeClient) -> httpx2.AsyncClient:
    return await make_client()


@pytest.fixture
async def visitor(address: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser: no key, cookies, and an Origin of our own page."""
    async with httpx2.AsyncClient(base_url=address, timeout=20, headers={"Origin": address}) as made:
        yield made


@pytest.fixture
def submit() -> Callable[..., Awaitable[dict[str, Any]]]:
    """Post a media task, and return what was answered."""

    async def post(client: httpx2.AsyncClient, script: str = "One.\n\nTwo.", **fields: object) -> dict[str, Any]:
        body = {"actor": "media", "payload": {"operation": "script2video", "script": script, **fields}}
        answer = await client.post("/api/tasks", json=body)
        assert answer.status_code == 201, answer.text
        task: dict[str, Any] = answer.json()
        return task

    return post


@pytest.fixture
def claim(queue: TaskQueue) -> Callable[[], Awaitable[tuple[Task, Lease]]]:
    """Claim the next task, as a worker would."""

    async def claim_next() -> tuple[Task, Lease]:
        (task,) = await queue.claim(CLAIMER)
        return task, Lease.of(task)

    return claim_next


@pytest.fixture
def store(contents: ContentRepository) -> Callable[..., Awaitable[Content]]:
    """Store a content item, as a worker would."""

    async def store_item(task: Task, *, seq: int = 0, **fields: Any) -> Content:
        item: dict[str, Any] = {
            "key": "scene-0000/picture",
            "kind": ContentKind.IMAGE,
            "role": "picture",
            "media_type": "image/png",
            "filename": "scene-001.png",
            "data": bytes(range(256)) * 4,
            "index": 0,
            "caption": "One.",
        }
        lease = Lease.of(task)
        await contents.begin(lease, task, operation="script2video", provider="test", source_data={})
        return await contents.store(lease, task, NewContent(**(item | fields)), seq=seq)

    return store_item


@pytest.fixture
def frames() -> Callable[[httpx2.Response], AsyncIterator[Frame]]:
    """Read an open answer as Server-Sent Events: a mapping of fields for each frame, comments as ``comment``."""

    async def read(answer: httpx2.Response) -> AsyncIterator[Frame]:
        frame: Frame = {}
        async for line in answer.aiter_lines():
            if not line:
                if frame:
                    yield frame
                frame = {}
                continue
            name, _, value = line.partition(":")
            frame[name or "comment"] = value.removeprefix(" ")

    return read
