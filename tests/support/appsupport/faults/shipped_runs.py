"""A person who drives runs of the shipped workflows to their ends by calls alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from appdb import uuid7_str
from appsupport.faults.run_client import RunClient

SHIPPED = ("narrated_video", "picture_variations", "written_text")
INPUTS: Mapping[str, Mapping[str, Any]] = {"written_text": {"model": "small"}}
ANSWERS: Mapping[str, Any] = {
    "script": {"title": "The lamp", "text": "The keeper woke.\n\nShe lit the lamp.", "voice": "en"},
    "form": {"prompt": "A tide pool at noon", "keep": 1},
    "topic": {"topic": "Tide pools", "tone": "plain"},
    "choose": {"selected": [0]},
    "read": {"confirmed": True},
}
"""By module; the pictures are picked among those that were made."""
CLOSED = ("completed", "error", "cancelled")
END_SECONDS = 300
PAUSE_SECONDS = 0.1


async def drive(client: RunClient, name: str) -> str:
    """Start a run of a shipped workflow, answer all that it asks until it ends, and return its id."""
    run = await client.start(name, INPUTS.get(name, {}), uuid7_str("key_"))
    async with asyncio.timeout(END_SECONDS):
        while run["status"] not in CLOSED:
            for asking in await _asking(client, run):
                answered = await client.answer(asking["question"], await _response(client, asking))
                assert answered.is_success, answered.text
            await asyncio.sleep(PAUSE_SECONDS)
            run = await client.get(f"/api/runs/{run['id']}")
    return str(run["id"])


async def _asking(client: RunClient, run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the run and its parts that ask something."""
    parts = (await client.get(f"/api/runs/{run['id']}/children"))["items"]
    shown = [await client.get(f"/api/runs/{part['id']}") for part in parts if part["status"] == "awaiting_input"]
    return [one for one in [run, *shown] if one["question"] is not None]


async def _response(client: RunClient, run: Mapping[str, Any]) -> Any:
    module = run["question"]["module"]
    if module in ANSWERS:
        return ANSWERS[module]
    events = (await client.get(f"/api/runs/{run['id']}/events"))["items"]
    made = [one["data"]["result"]["content_ids"][0] for one in events if one["type"] == "sub_action_completed"]
    return {"content_ids": made[:1]}
