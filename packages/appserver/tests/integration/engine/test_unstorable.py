"""Values that cannot be stored: every door of the engine refuses them by name, and none fails by its own fault."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

Start = Callable[..., Awaitable[dict[str, Any]]]
HEADERS = {"Content-Type": "application/json"}
DEEP: Any = "x"
for _ in range(90):
    DEEP = [DEEP]
VALUES = {
    "surrogate": '"\\ud800"',
    "key": '{"\\ud800": 1}',
    "nul": '{"a\\u0000b": 1}',
    "huge": "123456789012345678901234567890",
    "infinite": "1e999",
    "deep": json.dumps(DEEP),
}


def bodies(value: str, run: dict[str, Any]) -> list[tuple[str, str]]:
    address = f"/api/runs/{run['id']}"
    module = json.dumps(run["module"])
    return [
        (f"{address}/signals", f'{{"name": "go", "payload": {value}}}'),
        (f"{address}/actions", f'{{"module": {module}, "action": "more", "arguments": {{"a": {value}}}}}'),
        (f"{address}/retry", f'{{"module": {module}, "feedback": {{"a": {value}}}}}'),
        (f"{address}/retry", f'{{"module": {module}, "inputs": {{"title": {value}}}}}'),
        (f"{address}/jump", f'{{"module": {module}, "feedback": {{"a": {value}}}}}'),
        (f"{address}/reset", f'{{"input": {{"a": {value}}}}}'),
        ("/api/runs", f'{{"template_id": "{run["template_id"]}", "project": "other", "input": {{"a": {value}}}}}'),
        ("/api/runs", f'{{"template_id": "{run["template_id"]}", "project": {value}}}'),
        ("/api/workflows/check", f'{{"definition": {{"name": {value}}}}}'),
        ("/api/workflows", f'{{"definition": {{"name": "x", "steps": [{value}]}}}}'),
    ]


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_unstorable_value_is_refused_at_each_door(client: httpx2.AsyncClient, start: Start, value: str) -> None:
    run = await start(project="first")

    for address, body in bodies(value, run):
        answer = await client.post(address, content=body, headers=HEADERS)

        told = (address, body[:80], answer.status_code, answer.text[:300])
        if address == "/api/workflows/check" and answer.status_code == 200:
            assert not answer.json()["valid"], told
        else:
            assert 400 <= answer.status_code < 500, told
    assert (await client.get(f"/api/runs/{run['id']}")).json()["last_seq"] == run["last_seq"]


@pytest.mark.parametrize("text", ["\\ud83d\\ude00", "\\\\ud800", "\\\\\\ud83d\\ude00", "\\u00e9"])
async def test_whole_pair_and_written_backslash_are_taken(client: httpx2.AsyncClient, start: Start, text: str) -> None:
    run = await start(project="first")
    body = f'{{"template_id": "{run["template_id"]}", "project": "{text}"}}'

    answer = await client.post("/api/runs", content=body, headers=HEADERS)

    assert (answer.status_code, answer.json()["project"]) == (201, json.loads(f'"{text}"'))


async def test_all_problems_of_definition_are_told_with_half_a_character(client: httpx2.AsyncClient) -> None:
    body = (
        '{"definition": {"name": "No Name", "title": "\\ud800", "steps": [{"id": "a", "modules": [{"\\ud800": 1}]}]}}'
    )

    told = await client.post("/api/workflows/check", content=body, headers=HEADERS)
    refused = await client.post("/api/workflows", content=body, headers=HEADERS)

    assert (told.status_code, refused.status_code) == (200, 422)
    pointers = {problem["pointer"] for problem in told.json()["problems"]}
    assert {"/name", "/title", "/steps/0/modules/0"} <= pointers
    assert {error["field"] for error in refused.json()["errors"]} == {f"/definition{pointer}" for pointer in pointers}


@pytest.mark.parametrize("door", ["/api/workflows/check", "/api/workflows", "/api/runs"])
async def test_name_with_half_a_character_that_stands_twice_is_told(client: httpx2.AsyncClient, door: str) -> None:
    body = '{"definition": {"name": "x", "a": {"\\ud800": 1, "\\ud800": 2}}}'

    refused = await client.post(door, content=body, headers=HEADERS)

    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "/definition/a/\\ud800")
