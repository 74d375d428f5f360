"""Log readers: one for each watched task, for all of its viewers.

A reader asks the log after every hint, and now and then without one, so a lost hint costs time only (decision record
0003).
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from appdb import AppDbError, ChangeFeed, TaskQueue
from appdb.feed import task_topic
from appserver.streams.cursor import TaskCursor
from appserver.streams.frames import EncodeEvent, StreamFrame
from appserver.streams.stream_viewer import StreamViewer

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=5)
"""How often to look while hints flow: a lost hint costs at most this."""
BLIND_POLL = timedelta(seconds=1)
"""How often to look while no hints flow."""
PAGE = 500
"""Events that one read of a log takes at most."""


class LogReader:
    """Reads one task's log for all of its viewers, while there are any; each event is encoded once for all of them.

    Args:
        cursor: Where the first viewer stands; reading begins there.
        queue: Where the log is.
        feed: Hints that something was logged.
        encode: The form in which an event is sent.
    """

    def __init__(self, cursor: TaskCursor, queue: TaskQueue, feed: ChangeFeed, encode: EncodeEvent) -> None:
        self._cursor = cursor
        self._queue = queue
        self._feed = feed
        self._encode = encode
        self._viewers: set[StreamViewer[StreamFrame]] = set()
        self._running: asyncio.Task[None] | None = None

    def add(self) -> StreamViewer[StreamFrame]:
        """Add a viewer, and start to read for it."""
        viewer: StreamViewer[StreamFrame] = StreamViewer()
        self._viewers.add(viewer)
        if self._running is None or self._running.done():
            # Also after a reader that broke: its viewers were let go, and this one is new.
            self._running = asyncio.create_task(self._run())
        return viewer

    def remove(self, viewer: StreamViewer[StreamFrame]) -> bool:
        """Let *viewer* go, and return whether it was the last."""
        self._viewers.discard(viewer)
        if self._viewers:
            return False
        if self._running is not None:
            self._running.cancel()
        return True

    async def _run(self) -> None:
        try:
            with self._feed.subscribe(task_topic(self._cursor.task_id)) as hints:
                while True:
                    if not await self._try_page():
                        await hints.wait(POLL if self._feed.live else BLIND_POLL)
        finally:
            # No reader is left for these viewers: they come back, and a new reader starts.
            for viewer in self._viewers:
                viewer.end()

    async def _try_page(self) -> bool:
        try:
            return await self._read_page()
        except AppDbError as exc:
            extra = {"task_id": self._cursor.task_id, "error": str(exc)}
            logger.warning("streams wait for the database", extra=extra)
            return False

    async def _read_page(self) -> bool:
        page = await self._queue.events(self._cursor.task_id, after=self._cursor.seq, limit=PAGE)
        for event in page:
            self._cursor = self._cursor.at(event.seq)
            frame = self._encode(event)
            for viewer in self._viewers:
                viewer.offer(frame)
        return bool(page)
