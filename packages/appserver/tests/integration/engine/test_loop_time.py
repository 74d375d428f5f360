"""The time that one request may take of the loop, whatever it holds: others wait for no longer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

Start = Callable[..., Awaitable[dict[str, Any]]]
HEADERS = {"Content-Type": "application/json"}
MAX_SECONDS = 0.05
ROUNDS = 4


def asks(type_: str, **inputs: Any) -> dict[str, Any]:
    return {"name": "asks", "steps": [{"id": "ask", "modules": [{"id": "ask", "type": type_, "in": inputs}]}]}


def text(name: str, **inputs: Any) -> dict[str, Any]:
    return {"id": name, "type": "user.text_input@1", "in": {"title": "What?", **inputs}}


def workflow(*modules: dict[str, Any]) -> dict[str, Any]:
    return {"name": "large", "steps": [{"id": "all", "modules": list(modules)}]}


PATTERNS = {f"p{number}": {"type": "string", "pattern": f"[a-z]{{1,{number + 1}}}"} for number in range(20)}
FORM = {"title": "What?", "schema": {"type": "object", "properties": PATTERNS}}
DEFINITIONS: dict[str, Any] = {
    "many modules": workflow(*[text(f"m{number}", message="{{ input.x }}" * 9) for number in range(200)]),
    "many references": workflow(text("m", show=["{{ modules.x.y }}"] * 9_000)),
    "one long text": workflow(text("m", show="{{ input.x }}" * 70_000)),
    "many values": workflow(text("m", show=list(range(200_000)))),
    "many schemas": workflow(*[{"id": f"m{number}", "type": "user.form@1", "in": FORM} for number in range(100)]),
    "many unknown fields": workflow(text("m", **{f"f{number}": 1 for number in range(9_000)})),
}
UNIONS = {"type": "object", "properties": {"list": {"items": {"anyOf": [{"type": "string"}, {"type": "null"}] * 20}}}}
ANSWERS: dict[str, Any] = {
    "many wrong items": {"list": [0] * 100_000},
    "few wrong items": {"list": [0] * 1_500},
    "long text": {"list": ["x" * 900_000]},
    "many fields": {f"f{number}": number for number in range(50_000)},
    "deep": {"list": json.loads("[" * 60 + "]" * 60)},
}


async def longest_hold(client: httpx2.AsyncClient, address: str, body: bytes) -> float:
    """Return the longest time for which the loop, which serves and asks alike, did nothing else.

    It is the processor's time of the loop's thread: what other processes of the machine take does not count.
    """
    asking = asyncio.create_task(client.post(address, content=body, headers=HEADERS))
    longest, before = 0.0, time.thread_time()
    while not asking.done():
        await asyncio.sleep(0.001)
        longest, before = max(longest, time.thread_time() - before), time.thread_time()
    assert (await asking).status_code < 500
    return longest


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
async def test_large_definition_holds_nobody_up(client: httpx2.AsyncClient, definition: Any) -> None:
    body = json.dumps({"definition": definition}).encode()

    assert min([await longest_hold(client, "/api/workflows/check", body) for _ in range(ROUNDS)]) < MAX_SECONDS


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_large_answer_holds_nobody_up(client: httpx2.AsyncClient, start: Start, answer: Any) -> None:
    run = await start(definition=asks("user.form@1", title="What?", schema=UNIONS | {"additionalProperties": False}))
    address = f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer"
    body = json.dumps({"response": answer}).encode()

    assert min([await longest_hold(client, address, body) for _ in range(ROUNDS)]) < MAX_SECONDS
