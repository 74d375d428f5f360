"""Bad answers over HTTP: each is told where it does not fit, the question stays open, and nothing is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from appsupport.workflows.bad_answers import GOOD, QUESTIONS, UNREADABLE, Rows

Start = Callable[..., Awaitable[dict[str, Any]]]
HEADERS = {"Content-Type": "application/json"}


async def check_rows(client: httpx2.AsyncClient, run: dict[str, Any], rows: Rows) -> None:
    address = f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer"
    for response, expected in rows:
        answer = await client.post(address, json={"response": response})

        assert answer.status_code == 422, (response, answer.text)
        fields = {error["field"] for error in answer.json()["errors"]}
        assert fields == expected, (response, answer.json()["errors"])
        assert all(len(error["message"]) <= 201 for error in answer.json()["errors"])
    now = (await client.get(f"/api/runs/{run['id']}")).json()
    assert (now["status"], now["last_seq"]) == ("awaiting_input", run["last_seq"])


async def test_bad_form_is_told_field_by_field(client: httpx2.AsyncClient, start: Start) -> None:
    definition, rows = QUESTIONS["form"]
    run = await start(definition=definition)

    await check_rows(client, run, rows)
    good = GOOD | {"scenes": [{"text": "x" * 20, "seconds": 0.1}], "link": None, "more": {"$where": "{{ run.id }}"}}
    address = f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer"
    assert (await client.post(address, json={"response": good})).json()["status"] == "completed"


async def test_bad_text_is_told(client: httpx2.AsyncClient, start: Start) -> None:
    definition, rows = QUESTIONS["text"]

    await check_rows(client, await start(definition=definition), rows)


async def test_bad_choice_is_told(client: httpx2.AsyncClient, start: Start) -> None:
    definition, rows = QUESTIONS["choice"]

    await check_rows(client, await start(definition=definition), rows)


@pytest.mark.parametrize(("raw", "status"), UNREADABLE)
async def test_answer_that_cannot_be_read_is_refused(
    client: httpx2.AsyncClient, start: Start, raw: bytes, status: int
) -> None:
    run = await start()
    address = f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer"

    assert (await client.post(address, content=raw, headers=HEADERS)).status_code == status
    assert (await client.get(f"/api/runs/{run['id']}")).json()["status"] == "awaiting_input"
