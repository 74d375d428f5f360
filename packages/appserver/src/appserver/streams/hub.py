"""Logs as streams: one reader for each watched task, however many viewers, and each viewer without gap or repeat."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus

from appdb import AppDbError, ChangeFeed, TaskQueue
from appdb.feed import task_topic
from appserver.api.frames import Frame, event_frame
from appserver.http.problems import ProblemError

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=5)
"""How often to look while hints flow: a lost hint costs at most this."""
BLIND_POLL = timedelta(seconds=1)
BACKLOG = 1_000
"""Events that a viewer may be behind before it is dropped; it comes back and reads the rest from the log."""
BACKLOG_BYTES = 4 * 1024 * 1024
"""What these events may weigh; twice the heaviest page that is read at once."""
PAGE = 500


class TaskStreams:
    """
    Follows the logs of tasks.

    Args:
        queue: Where the logs are.
        feed: Hints that something was logged.
        per_user: How many streams one user may have open on this host.
    """

    def __init__(self, queue: TaskQueue, feed: ChangeFeed, *, per_user: int) -> None:
        self._queue = queue
        self._feed = feed
        self._per_user = per_user
        self._open: Counter[str] = Counter()
        self._readers: dict[str, _Reader] = {}

    def check_capacity(self, owner_id: str) -> None:
        """Check that *owner_id* may open one more stream here.

        Raises:
            ProblemError: 429, the user has too many open streams here.
        """
        if self._open[owner_id] >= self._per_user:
            detail = f"You have {self._per_user} open streams, which is the most; close one."
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": "5"})

    @contextmanager
    def counted(self, owner_id: str) -> Iterator[None]:
        """Count a stream of *owner_id* while the block runs."""
        self._open[owner_id] += 1
        try:
            yield
        finally:
            self._open[owner_id] -= 1
            if not self._open[owner_id]:
                del self._open[owner_id]

    async def follow(self, task_id: str, after: int) -> AsyncIterator[Frame]:
        """Yield the events of a task after number *after*, in order, each once, live, up to the terminal one.

        It ends early when the viewer takes events more slowly than they come; nothing is lost, since the log stays.
        """
        # What is logged already is read at the viewer's own pace, so a long log does not count as being slow.
        async for frame in self._catch_up(task_id, after):
            after = frame.seq
            yield frame
            if frame.final:
                return
        reader = self._readers.get(task_id)
        if reader is None:
            reader = self._readers[task_id] = _Reader(task_id, self._queue, self._feed, after)
        viewer = reader.add()
        try:
            async for frame in self._live(task_id, viewer, after):
                yield frame
        finally:
            if reader.remove(viewer):
                self._readers.pop(task_id, None)

    async def _live(self, task_id: str, viewer: _Viewer, after: int) -> AsyncIterator[Frame]:
        # The reader may have passed this viewer's place before the viewer joined.
        async for missed in self._catch_up(task_id, after):
            after = missed.seq
            yield missed
            if missed.final:
                return
        while (frame := await viewer.next()) is not None:
            if frame.seq <= after:
                continue
            async for missed in self._catch_up(task_id, after, before=frame.seq):
                yield missed
            after = frame.seq
            yield frame
            if frame.final:
                return

    async def _catch_up(self, task_id: str, after: int, before: int | None = None) -> AsyncIterator[Frame]:
        while before is None or before > after + 1:
            page = deque(await self._queue.events(task_id, after=after, limit=PAGE))
            if not page:
                return
            # A viewer may take long, and what it has taken is kept no longer.
            while page:
                event = page.popleft()
                if before is not None and event.seq >= before:
                    return
                after = event.seq
                yield event_frame(event)


class _Viewer:
    """A bounded queue of events; full means dropped."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._bytes = 0
        self._ended = False

    def offer(self, frame: Frame) -> None:
        """Hand over *frame*, or drop the viewer when it is too far behind."""
        if self._frames.qsize() >= BACKLOG or self._bytes >= BACKLOG_BYTES:
            self.end()
        if not self._ended:
            self._bytes += len(frame.text)
            self._frames.put_nowait(frame)

    def end(self) -> None:
        """Let the viewer go once it has read what it has."""
        if not self._ended:
            self._ended = True
            self._frames.put_nowait(None)

    async def next(self) -> Frame | None:
        """Return the next event, or ``None`` once the viewer was let go and has read what it had."""
        frame = await self._frames.get()
        if frame is not None:
            self._bytes -= len(frame.text)
        return frame


class _Reader:
    """Reads one task's log for all of its viewers, while there are any; each event is encoded once for all of them."""

    def __init__(self, task_id: str, queue: TaskQueue, feed: ChangeFeed, after: int) -> None:
        self._task_id = task_id
        self._queue = queue
        self._feed = feed
        self._after = after
        self._viewers: set[_Viewer] = set()
        self._running: asyncio.Task[None] | None = None

    def add(self) -> _Viewer:
        viewer = _Viewer()
        self._viewers.add(viewer)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return viewer

    def remove(self, viewer: _Viewer) -> bool:
        """Let *viewer* go, and return whether it was the last."""
        self._viewers.discard(viewer)
        if self._viewers:
            return False
        if self._running is not None:
            self._running.cancel()
        return True

    async def _run(self) -> None:
        try:
            with self._feed.subscribe(task_topic(self._task_id)) as hints:
                while True:
                    if not await self._try_page():
                        await hints.wait(POLL if self._feed.live else BLIND_POLL)
        finally:
            # Nobody reads for them any more: they come back, and a new reader starts.
            for viewer in self._viewers:
                viewer.end()

    async def _try_page(self) -> bool:
        try:
            return await self._read_page()
        except AppDbError as exc:
            logger.warning("streams wait for the database", extra={"task_id": self._task_id, "error": str(exc)})
            return False

    async def _read_page(self) -> bool:
        page = await self._queue.events(self._task_id, after=self._after, limit=PAGE)
        for event in page:
            self._after = event.seq
            frame = event_frame(event)
            for viewer in self._viewers:
                viewer.offer(frame)
        return bool(page)
