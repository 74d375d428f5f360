"""Streams of tasks: one reader for each watched task, and each viewer sees every event once, without a gap."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from appdb import ChangeFeed, TaskQueue
from appserver.errors import TooManyStreamsError
from appserver.streams.cursor import TaskCursor
from appserver.streams.frames import EncodeEvent, StreamFrame
from appserver.streams.log_reader import PAGE, LogReader
from appserver.streams.stream_viewer import StreamViewer


class TaskStreams:
    """
    The streams of this host: each follows the log of a task.

    Args:
        queue: Where the logs are.
        feed: Hints that something was logged.
        encode: The form in which an event is sent.
        per_user: How many streams one user may have open on this host.
    """

    def __init__(self, queue: TaskQueue, feed: ChangeFeed, *, encode: EncodeEvent, per_user: int) -> None:
        self._queue = queue
        self._feed = feed
        self._encode = encode
        self._per_user = per_user
        self._open: Counter[str] = Counter()
        self._readers: dict[str, LogReader] = {}

    def check_capacity(self, owner_id: str) -> None:
        """Check that *owner_id* may open one more stream here.

        Raises:
            TooManyStreamsError: The user has too many open streams on this host.
        """
        if self._open[owner_id] >= self._per_user:
            raise TooManyStreamsError(self._per_user)

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

    async def follow(self, cursor: TaskCursor) -> AsyncIterator[StreamFrame]:
        """Yield the events behind *cursor*, in order, each once, live, up to the terminal one.

        It ends early when the viewer takes events more slowly than they come; nothing is lost, since the log stays.
        """
        # What is logged already is read at the viewer's own pace, so a long log does not count as being slow.
        async for frame in self._catch_up(cursor):
            cursor = cursor.at(frame.seq)
            yield frame
            if frame.final:
                return
        # One reader for all viewers: one query and one encoding for each event, however many watch.
        reader = self._readers.get(cursor.task_id)
        if reader is None:
            reader = LogReader(cursor, self._queue, self._feed, self._encode)
            self._readers[cursor.task_id] = reader
        viewer = reader.add()
        try:
            async for frame in self._live(viewer, cursor):
                yield frame
        finally:
            if reader.remove(viewer):
                self._readers.pop(cursor.task_id, None)

    async def _live(self, viewer: StreamViewer[StreamFrame], cursor: TaskCursor) -> AsyncIterator[StreamFrame]:
        # The reader may have passed this viewer's place before the viewer joined.
        async for missed in self._catch_up(cursor):
            cursor = cursor.at(missed.seq)
            yield missed
            if missed.final:
                return
        while (frame := await viewer.next()) is not None:
            # What the viewer caught up with comes from the reader once more.
            if frame.seq <= cursor.seq:
                continue
            async for missed in self._catch_up(cursor, before=frame.seq):
                yield missed
            cursor = cursor.at(frame.seq)
            yield frame
            if frame.final:
                return

    async def _catch_up(self, cursor: TaskCursor, before: int | None = None) -> AsyncIterator[StreamFrame]:
        """Yield the events behind *cursor* that are logged now, up to and without *before*."""
        while before is None or before > cursor.seq + 1:
            page = deque(await self._queue.events(cursor.task_id, after=cursor.seq, limit=PAGE))
            if not page:
                return
            # A viewer may take long, and what it has taken is kept no longer.
            while page:
                event = page.popleft()
                if before is not None and event.seq >= before:
                    return
                cursor = cursor.at(event.seq)
                yield self._encode(event)
