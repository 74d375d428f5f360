"""The time that one request may take of the loop, whatever it holds: others wait for no longer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from appsupport.workflows.large_requests import LARGE_ANSWERS, LARGE_DEFINITIONS, LARGE_QUESTION

Start = Callable[..., Awaitable[dict[str, Any]]]
HEADERS = {"Content-Type": "application/json"}
MAX_SECONDS = 0.05
ROUNDS = 4


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


@pytest.mark.parametrize("definition", LARGE_DEFINITIONS.values(), ids=LARGE_DEFINITIONS)
async def test_large_definition_holds_nobody_up(client: httpx2.AsyncClient, definition: Any) -> None:
    body = json.dumps({"definition": definition}).encode()

    assert min([await longest_hold(client, "/api/workflows/check", body) for _ in range(ROUNDS)]) < MAX_SECONDS


@pytest.mark.parametrize("answer", LARGE_ANSWERS.values(), ids=LARGE_ANSWERS)
async def test_large_answer_holds_nobody_up(client: httpx2.AsyncClient, start: Start, answer: Any) -> None:
    run = await start(definition=LARGE_QUESTION)
    address = f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer"
    body = json.dumps({"response": answer}).encode()

    assert min([await longest_hold(client, address, body) for _ in range(ROUNDS)]) < MAX_SECONDS
