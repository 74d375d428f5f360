"""Parts of runs that cannot be or are taken away, and messages without an end: no run is stuck by them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

Start = Callable[..., Awaitable[dict[str, Any]]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
Frames = Callable[[httpx2.Response], AsyncIterator[dict[str, str]]]
SOON = 20
PAUSE = {"id": "rest", "type": "flow.wait@1", "in": {"seconds": 0.1}}


def workflow(*modules: dict[str, Any], name: str) -> dict[str, Any]:
    return {"name": name, "steps": [{"id": "only", "modules": list(modules)}]}


def ask(name: str) -> dict[str, Any]:
    return {"id": name, "type": "user.text_input@1", "in": {"title": name}}


def child(**inputs: Any) -> dict[str, Any]:
    return {"id": "part", "type": "flow.child@1", "in": inputs}


async def until(client: httpx2.AsyncClient, run: dict[str, Any], status: str) -> dict[str, Any]:
    """Return the run once it has *status*."""
    async with asyncio.timeout(SOON):
        while (now := (await client.get(f"/api/runs/{run['id']}")).json())["status"] != status:
            await asyncio.sleep(0.05)
    found: dict[str, Any] = now
    return found


async def part_of(client: httpx2.AsyncClient, run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/api/runs/{run['id']}/children")).json()["items"][0]
    return found


@pytest.mark.parametrize("before", [(), (PAUSE,)], ids=["in the request", "in the loop"])
async def test_part_by_foreign_version_fails_its_module(
    client: httpx2.AsyncClient, make_client: MakeClient, start: Start, before: tuple[dict[str, Any], ...]
) -> None:
    other = await make_client()
    theirs = await other.post("/api/workflows", json={"definition": workflow(ask("secret"), name="theirs")})
    version = theirs.json()["version"]["id"]

    run = await start(definition=workflow(*before, child(version=version), name="mine"))
    failed = await until(client, run, "error")

    assert (failed["error"]["code"], failed["module"]) == ("misconfigured", "part")
    assert "secret" not in str(failed)
    assert (await client.get(f"/api/runs/{run['id']}/children")).json()["items"] == []


async def test_part_by_own_version_gives_its_output(client: httpx2.AsyncClient, start: Start) -> None:
    own = {**workflow(PAUSE, name="own"), "output": {"said": "{{ input.word }}"}}
    saved = await client.post("/api/workflows", json={"definition": own})
    version = saved.json()["version"]["id"]

    whole = workflow(child(version=version, input={"word": "yes"}), name="mine")
    run = await start(definition={**whole, "output": {"got": "{{ modules.part.output.said }}"}})

    assert (await until(client, run, "completed"))["output"] == {"got": "yes"}


async def test_workflow_that_starts_itself_comes_to_an_end(client: httpx2.AsyncClient, start: Start) -> None:
    same = workflow(child(version="{{ input.version }}", input={"version": "{{ input.version }}"}), name="itself")
    saved = await client.post("/api/workflows", json={"definition": same})
    version = saved.json()["version"]["id"]

    run = await start(version_id=version, input={"version": version})
    failed = await until(client, run, "error")

    assert (failed["module"], failed["error"]["code"]) == ("part", "misconfigured")


async def test_run_hears_that_its_part_failed(client: httpx2.AsyncClient, start: Start) -> None:
    wrong = {"id": "check", "type": "io.validate@1", "in": {"value": "x", "schema": {"type": "integer"}}}

    run = await start(definition=workflow(child(run=[wrong]), name="outer"))
    failed = await until(client, run, "error")

    assert failed["module"] == "part"
    assert "does not fit its schema" in failed["error"]["message"]


async def test_run_tells_what_parts_of_its_parts_ask(client: httpx2.AsyncClient, start: Start) -> None:
    inner = {"id": "inner", "type": "flow.map@1", "in": {"items": ["a", "b"], "run": [ask("deep")]}}
    outer = {"id": "outer", "type": "flow.map@1", "in": {"items": [1], "run": [inner]}}
    run, other = await start(definition=workflow(outer, name="nested")), await start(project="other")

    async with asyncio.timeout(SOON):
        while len((told := (await client.get(f"/api/runs/{run['id']}")).json())["questions_of_parts"]) < 2:
            await asyncio.sleep(0.05)
    page = (await client.get(f"/runs/{run['id']}", headers={"Accept": "text/html"})).text
    first, second = told["questions_of_parts"]
    for one in (first, second):
        address = f"/api/runs/{one['run_id']}/interactions/{one['interaction_id']}/answer"
        await client.post(address, json={"response": {"value": "x"}})

    assert (told["status"], first["title"], len({first["run_id"], second["run_id"], run["id"]})) == (
        "processing",
        "deep",
        3,
    )
    assert f'<a href="/runs/{first["run_id"]}">deep</a>' in page
    assert (await until(client, run, "completed"))["questions_of_parts"] == []
    assert (await client.get(f"/api/runs/{other['id']}")).json()["questions_of_parts"] == []


async def test_run_hears_that_its_part_was_deleted(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start(definition=workflow(child(run=[ask("inner")]), name="outer"))
    part = await part_of(client, run)

    gone = await client.delete(f"/api/runs/{part['id']}")
    failed = await until(client, run, "error")

    assert gone.status_code == 204
    assert (failed["module"], failed["error"]["code"]) == ("part", "cancelled")


@pytest.mark.parametrize(("size", "most"), [(10, 100), (100_000, 10)])
async def test_messages_that_nobody_takes_are_bounded(
    client: httpx2.AsyncClient, start: Start, size: int, most: int
) -> None:
    run = await start()
    address = f"/api/runs/{run['id']}/signals"

    for _ in range(most):
        assert (await client.post(address, json={"name": "go", "payload": "x" * size})).status_code == 200
    refused = await client.post(address, json={"name": "go", "payload": "x" * size})

    assert (refused.status_code, refused.json()["facts"]["code"]) == (409, "inbox_full")
    assert (await client.get(f"/api/runs/{run['id']}")).json()["last_seq"] == run["last_seq"] + most


async def test_questions_of_parts_are_answered_by_stream_alone(
    client: httpx2.AsyncClient, start: Start, frames: Frames
) -> None:
    inner = {"id": "inner", "type": "flow.map@1", "in": {"items": ["a", "b"], "run": [ask("first"), ask("second")]}}
    outer = {"id": "outer", "type": "flow.map@1", "in": {"items": [1, 2], "run": [inner]}}
    run = await start(definition=workflow(outer, name="nested"))
    answered: set[str] = set()

    async with asyncio.timeout(SOON), client.stream("GET", f"/api/runs/{run['id']}/stream") as answer:
        async for frame in frames(answer):
            if frame["event"] == "end":
                break
            for one in json.loads(frame["data"]).get("asked_by_parts", ()):
                if one["interaction_id"] not in answered:
                    address = f"/api/runs/{one['run_id']}/interactions/{one['interaction_id']}/answer"
                    said = await client.post(address, json={"response": {"value": "x"}})
                    assert said.status_code == 200, said.text
                    answered.add(one["interaction_id"])

    assert len(answered) == 8
    assert (await client.get(f"/api/runs/{run['id']}")).json()["status"] == "completed"
