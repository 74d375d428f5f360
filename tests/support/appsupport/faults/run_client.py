"""A client of several API hosts: it takes any of them, and repeats what was not answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

PATIENCE_SECONDS = 120
PAUSE_SECONDS = 0.1
AWAY = 503


class RunClient:
    """
    A guest of hosts that may be killed at any time.

    Args:
        http: Makes the calls.
        addresses: Where the hosts listen.
        chance: Takes one of them for each call.
    """

    def __init__(self, http: httpx2.AsyncClient, addresses: Sequence[str], chance: random.Random) -> None:
        self._http = http
        self._addresses = addresses
        self._chance = chance

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        at: str | None = None,
        key: str | None = None,
    ) -> httpx2.Response:
        """Return the answer of a host, the one *at* an address or any; repeated until there is one."""
        headers = {} if key is None else {"Idempotency-Key": key}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                address = at or self._chance.choice(self._addresses)
                try:
                    answer = await self._http.request(method, address + path, json=body, headers=headers)
                except httpx2.TransportError:
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                if answer.status_code != AWAY:
                    return answer
                await asyncio.sleep(PAUSE_SECONDS)

    async def get(self, path: str, *, at: str | None = None) -> Any:
        """Return what a path shows."""
        return (await self.call("GET", path, at=at)).raise_for_status().json()

    async def become_guest(self) -> None:
        """Take a new guest's key."""
        key = (await self.call("POST", "/api/guests")).raise_for_status().json()["key"]
        self._http.headers["Authorization"] = f"Bearer {key}"

    async def start(self, name: str, given: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Start a run of a shipped workflow; the same key again gives the same run."""
        offered = (await self.get("/api/workflows"))["items"]
        template = next(one["id"] for one in offered if one["name"] == name)
        body = {"template_id": template, "input": given}
        return await self.post_run(body, key)

    async def post_run(self, body: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Start a run of anything."""
        started = await self.call("POST", "/api/runs", body, key=key)
        assert started.is_success, started.text
        return dict(started.json())

    async def answer(self, question: Mapping[str, Any], response: Any, *, at: str | None = None) -> httpx2.Response:
        """Answer a question."""
        path = f"/api/runs/{question['run_id']}/interactions/{question['interaction_id']}/answer"
        return await self.call("POST", path, {"response": response}, at=at)
