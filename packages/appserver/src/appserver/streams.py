"""Logs as streams: one reader for each watched task, however many viewers, and each viewer without gap or repeat."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus

from appdb import AppDbError, ChangeFeed, TaskEvent, TaskQueue
from appdb.feed import task_topic
from appserver.errors import ProblemError

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=5)
"""How often to look while hints flow: a lost hint costs at most this."""
BLIND_POLL = timedelta(seconds=1)
BACKLOG = 1_000
"""Events that a viewer may be behind before it is dropped; it comes back and reads the rest from the log."""
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

    async def follow(self, task_id: str, after: int) -> AsyncIterator[TaskEvent]:
        """Yield the events of a task after number *after*, in order, each once, live, up to the terminal one.

        It ends early when the viewer takes events more slowly than they come; nothing is lost, since the log stays.
        """
        # What is logged already is read at the viewer's own pace, so a long log does not count as being slow.
        async for event in self._catch_up(task_id, after):
            after = event.seq
            yield event
            if event.type.terminal:
                return
        reader = self._readers.get(task_id)
        if reader is None:
            reader = self._readers[task_id] = _Reader(task_id, self._queue, self._feed, after)
        viewer = reader.add()
        try:
            async for event in self._live(task_id, viewer, after):
                yield event
        finally:
            if reader.remove(viewer):
                self._readers.pop(task_id, None)

    async def _live(self, task_id: str, viewer: _Viewer, after: int) -> AsyncIterator[TaskEvent]:
        # The reader may have passed this viewer's place before the viewer joined.
        async for missed in self._catch_up(task_id, after):
            after = missed.seq
            yield missed
            if missed.type.terminal:
                return
        while (event := await viewer.next()) is not None:
            if event.seq <= after:
                continue
            async for missed in self._catch_up(task_id, after, before=event.seq):
                yield missed
            after = event.seq
            yield event
            if event.type.terminal:
                return

    async def _catch_up(self, task_id: str, after: int, before: int | None = None) -> AsyncIterator[TaskEvent]:
        while before is None or before > after + 1:
            page = await self._queue.events(task_id, after=after, limit=PAGE)
            for event in page:
                if before is not None and event.seq >= before:
                    return
                yield event
            if len(page) < PAGE:
                return
            after = page[-1].seq


class _Viewer:
    """A bounded queue of events; full means dropped."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[TaskEvent | None] = asyncio.Queue()
        self._ended = False

    def offer(self, event: TaskEvent) -> None:
        """Hand over *event*, or drop the viewer when it is too far behind."""
        if self._events.qsize() >= BACKLOG:
            self.end()
        if not self._ended:
            self._events.put_nowait(event)

    def end(self) -> None:
        """Let the viewer go once it has read what it has."""
        if not self._ended:
            self._ended = True
            self._events.put_nowait(None)

    async def next(self) -> TaskEvent | None:
        """Return the next event, or ``None`` once the viewer was let go and has read what it had."""
        return await self._events.get()


class _Reader:
    """Reads one task's log for all of its viewers, while there are any."""

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
            for viewer in self._viewers:
                viewer.offer(event)
        return bool(page)
