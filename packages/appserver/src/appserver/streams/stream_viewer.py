"""Viewers: a bounded queue of frames for each reader of a stream."""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar

BACKLOG = 1_000
"""Events that a viewer may be behind before it is dropped; it comes back and reads the rest from the log."""
BACKLOG_BYTES = 4 * 1024 * 1024
"""The weight of these events at most; twice the heaviest page that is read at once."""


class Weighed(Protocol):
    """A frame that says how much it weighs."""

    @property
    def weight(self) -> int:
        """The bytes that a viewer which has yet to take it holds."""


FrameT = TypeVar("FrameT", bound=Weighed)


class StreamViewer(Generic[FrameT]):
    """A bounded queue of events for one viewer; when it is full, the viewer is dropped."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[FrameT | None] = asyncio.Queue()
        self._bytes = 0
        self._ended = False

    def offer(self, frame: FrameT) -> None:
        """Hand over *frame*, or drop the viewer when it is too far behind."""
        if self._frames.qsize() >= BACKLOG or self._bytes >= BACKLOG_BYTES:
            self.end()
        if not self._ended:
            self._bytes += frame.weight
            self._frames.put_nowait(frame)

    def end(self) -> None:
        """Let the viewer go once it has read what it has."""
        if not self._ended:
            self._ended = True
            self._frames.put_nowait(None)

    async def next(self) -> FrameT | None:
        """Return the next event, or ``None`` once the viewer was let go and has read what it had."""
        frame = await self._frames.get()
        if frame is not None:
            self._bytes -= frame.weight
        return frame
