"""The clients of ``docs/following-a-task.md``, as they stand there: through cuts, a restart and a retry to the end."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from appdb import Lease, NewEvent, Task, TaskEventType, TaskQueue
from appdb.models import Content

PAGE = Path(__file__).parents[5] / "docs" / "following-a-task.md"

Submit = Callable[..., Awaitable[dict[str, Any]]]
Claim = Callable[[], Awaitable[tuple[Task, Lease]]]
Store = Callable[..., Awaitable[Content]]
Write = Callable[[Lease, TaskQueue], Awaitable[None]]

RUN_PYTHON = """
import json, sys
address, key, task_id = sys.argv[1:]
with httpx2.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}) as client:
    for name, data in follow(client, task_id):
        print(json.dumps([name, data]), flush=True)
"""
RUN_JAVASCRIPT = """
const [address, key, task] = process.argv.slice(2);
for await (const told of follow(`${address}/api/tasks/${task}/stream`, key)) console.log(JSON.stringify(told));
"""


def written(language: str) -> str:
    """Return the program in *language* that stands on the page."""
    (program,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(program)


@pytest.fixture(params=["python", "javascript"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The command that runs a client of the page."""
    if request.param == "python":
        file = tmp_path / "follow.py"
        file.write_text(written("python") + RUN_PYTHON)
        return [sys.executable, "-I", str(file)]
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node on PATH")
    file = tmp_path / "follow.mjs"
    file.write_text(written("javascript") + RUN_JAVASCRIPT)
    return [node, str(file)]


class CuttingProxy:
    """Passes bytes on, and cuts every connection after so many of the answer's."""

    def __init__(self, port: int, most: int) -> None:
        self._port = port
        self._most = most
        self.cuts = 0
        self.answered = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host_reader, host_writer = await asyncio.open_connection("127.0.0.1", self._port)
        passing = asyncio.create_task(self._pass(reader, host_writer))
        left = self._most
        while part := await host_reader.read(min(left, 400)):
            writer.write(part)
            await writer.drain()
            self.answered.set()
            left -= len(part)
            if left <= 0:
                self.cuts += 1
                writer.transport.abort()
                break
        passing.cancel()
        for each in (writer, host_writer):
            each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()


@pytest.fixture
async def cutting(address: str) -> AsyncIterator[tuple[str, CuttingProxy]]:
    """An address that leads to the host, by connections that do not live long."""
    proxy = CuttingProxy(int(address.rpartition(":")[2]), most=3_500)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", proxy


async def events_of(command: list[str]) -> list[tuple[str, dict[str, Any]]]:
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        told, _ = await running.communicate()
    assert running.returncode == 0
    return [(name, data) for name, data in map(json.loads, told.decode().split("\n")[:-1])]


async def chunks(queue: TaskQueue, lease: Lease, first: int, count: int) -> None:
    for seq in range(first, first + count):
        event = NewEvent(type=TaskEventType.CHUNK, data={"chunks": [f"part {seq}\u2028\u0085 ü " + "x" * 150]})
        await queue.append_events(lease, [event], seq=seq)


async def test_interrupted_client_sees_each_event_once(
    client: httpx2.AsyncClient,
    cutting: tuple[str, CuttingProxy],
    program: list[str],
    submit: Submit,
    claim: Claim,
    queue: TaskQueue,
) -> None:
    address, proxy = cutting
    task = await submit(client)
    _, lease = await claim()
    await chunks(queue, lease, 0, 5)
    key = client.headers["authorization"].removeprefix("Bearer ")

    following = asyncio.create_task(events_of([*program, address, key, task["id"]]))
    async with asyncio.timeout(60):
        await proxy.answered.wait()
    await chunks(queue, lease, 5, 40)
    await queue.complete(lease, {"text": "done"})
    told = await following

    names, first = [name for name, _ in told], told[0][1]
    assert (names[0], names[-1]) == ("snapshot", "completed")
    assert [data["seq"] for _, data in told[1:]] == list(range(first["last_seq"] + 1, 46))
    assert all("\u2028\u0085 ü" in data["data"]["chunks"][0] for name, data in told if name == "chunk")
    assert proxy.cuts >= 2


async def test_client_of_ended_task_ends_at_once(
    client: httpx2.AsyncClient, address: str, program: list[str], submit: Submit
) -> None:
    task = await submit(client)
    await client.post(f"/api/tasks/{task['id']}/cancel")
    key = client.headers["authorization"].removeprefix("Bearer ")

    told = await events_of([*program, address, key, task["id"]])

    assert [(name, data["state"]) for name, data in told] == [("snapshot", "cancelled")]


def test_page_names_every_event() -> None:
    named = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)

    assert named == [str(kind) for kind in TaskEventType]


async def test_openapi_tells_what_stream_sends(client: httpx2.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    answers = described["paths"]["/api/tasks/{task_id}/stream"]["get"]["responses"]

    events = answers["200"]["content"]["text/event-stream"]["x-events"]
    assert list(events) == ["snapshot", *map(str, TaskEventType)]
    for reference in events.values():
        assert reference["$ref"].removeprefix("#/components/schemas/") in described["components"]["schemas"]
    assert "204" in answers
    shared = described["paths"]["/api/stream"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert list(shared["x-events"]) == [str(kind) for kind in TaskEventType]
