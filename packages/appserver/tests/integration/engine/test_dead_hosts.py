"""API hosts that died in the middle of a write to a run: people are kept from the run for a moment only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from appdb import Database, DbEventType, EventRepository
from appdb.host import Session, app_name_of
from appdb.models import NewRunEvent

Start = Callable[..., Awaitable[dict[str, Any]]]
BRIEFLY = 6
"""Seconds; the server itself would keep such a transaction for a minute."""


@asynccontextmanager
async def dead_host(uri: str, name: str, run: dict[str, Any], owner_id: str) -> AsyncIterator[None]:
    """Hold the run's lock as a host does that died before its commit."""
    locked, never = asyncio.Event(), asyncio.Event()
    async with Database(uri, name, app_name=app_name_of("appserver/0.0.0", name)) as dying:

        async def die(session: Session) -> None:
            new = [NewRunEvent(type=DbEventType.OUTPUT_STORED, step="talk", data={})]
            await EventRepository(dying).append(
                run["id"], new, owner_id=owner_id, branch_id=run["branch_id"], session=session
            )
            locked.set()
            await never.wait()

        dead = asyncio.create_task(dying.transaction(die))
        await locked.wait()
        yield
        dead.cancel()
        await asyncio.wait([dead])


@pytest.mark.parametrize("way", ["answer", "cancel", "jump"])
async def test_host_that_died_in_write_delays_a_person_briefly(
    client: httpx2.AsyncClient, start: Start, database: Database, mongo_uri: str, way: str
) -> None:
    run = await start()
    stored = await database.collection("workflow_runs").find_one({"_id": run["id"]}) or {}
    answer = f"interactions/{run['question']['interaction_id']}/answer"
    path, body = {
        "answer": (answer, {"response": {"value": "tides"}}),
        "cancel": ("cancel", {}),
        "jump": ("jump", {"module": "topic"}),
    }[way]
    async with dead_host(mongo_uri, database.name, run, str(stored["owner_id"])):
        asked_at = time.monotonic()
        done = await client.post(f"/api/runs/{run['id']}/{path}", json=body, timeout=60)
        seconds = time.monotonic() - asked_at

    assert done.status_code == 200, done.text
    assert seconds < BRIEFLY
