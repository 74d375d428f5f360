"""The client of an API host: one whose own computing is small beside the server's, since both share the cores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from appbench.stage import IN_FLIGHT

LONGEST_SECONDS = 60
IDLE_SECONDS = 3
"""Less than uvicorn keeps an idle connection open: a request never meets the end of one."""


class ApiClient:
    """Sends JSON and reads JSON, over connections that stay open."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer to *body*.

        Raises:
            aiohttp.ClientResponseError: The host refused it.
        """
        async with self._session.post(path, json=body) as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer

    def sign_in(self, key: str) -> None:
        """Send *key* with every request from now on."""
        self._session.headers["Authorization"] = f"Bearer {key}"


@asynccontextmanager
async def api_client(address: str) -> AsyncIterator[ApiClient]:
    """Yield a client of the host at *address*, with as many connections as the bench has requests in flight."""
    timeout = aiohttp.ClientTimeout(total=LONGEST_SECONDS)
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT, keepalive_timeout=IDLE_SECONDS)
    async with aiohttp.ClientSession(address, connector=connector, timeout=timeout) as session:
        yield ApiClient(session)
