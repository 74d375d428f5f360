"""The flusher: writes the event buffers of attempts a moment later, so that events of a moment go in one commit."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Protocol


class Flushable(Protocol):
    """A buffer that is written behind."""

    async def write_behind(self) -> None:
        """Write the buffer; deal with errors."""


class Flusher:
    """Calls ``write_behind`` of each buffer that asked for it, those of a moment at once."""

    def __init__(self) -> None:
        self._due: dict[Flushable, float] = {}
        self._sooner = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def request(self, buffer: Flushable, delay_seconds: float) -> None:
        """Write *buffer* after *delay_seconds*, or when it is due already if that is sooner."""
        due = time.monotonic() + delay_seconds
        if due < self._due.get(buffer, float("inf")):
            self._due[buffer] = due
            self._sooner.set()

    def forget(self, buffer: Flushable) -> None:
        """Write *buffer* no more: the rest of it is written with the outcome."""
        self._due.pop(buffer, None)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            now = time.monotonic()
            for buffer in [buffer for buffer, due in self._due.items() if due <= now]:
                del self._due[buffer]
                # Beside each other: all of a moment reach the commit batcher together, and none waits for another.
                task = asyncio.create_task(buffer.write_behind())
                # asyncio keeps weak references only: a task that nobody holds may vanish in the middle.
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            self._sooner.clear()
            wait = min(self._due.values(), default=None)
            with suppress(TimeoutError):  # the next one is due
                async with asyncio.timeout(None if wait is None else max(0.0, wait - time.monotonic())):
                    await self._sooner.wait()
