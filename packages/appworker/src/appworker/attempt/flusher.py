"""When what attempts have noted is written: a moment later, so that what comes together goes in one commit."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Protocol


class Flushable(Protocol):
    """Something that writes behind."""

    async def write_behind(self) -> None:
        """Write what was noted so far; deal with errors."""


class Flusher:
    """Calls ``write_behind`` of each attempt that asked for it, all those of a moment at once."""

    def __init__(self) -> None:
        self._due: dict[Flushable, float] = {}
        self._sooner = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def soon(self, attempt: Flushable, delay_seconds: float) -> None:
        """Write what *attempt* noted after *delay_seconds*, or when it is due already if that is sooner."""
        due = time.monotonic() + delay_seconds
        if due < self._due.get(attempt, float("inf")):
            self._due[attempt] = due
            self._sooner.set()

    def forget(self, attempt: Flushable) -> None:
        """Write nothing more for *attempt*: what is left is written with its outcome."""
        self._due.pop(attempt, None)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            now = time.monotonic()
            for attempt in [attempt for attempt, due in self._due.items() if due <= now]:
                del self._due[attempt]
                task = asyncio.create_task(attempt.write_behind())
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            self._sooner.clear()
            wait = min(self._due.values(), default=None)
            with suppress(TimeoutError):  # the next one is due
                async with asyncio.timeout(None if wait is None else max(0.0, wait - time.monotonic())):
                    await self._sooner.wait()
