"""Streams of runs: a snapshot or what was missed, then everything live, up to the end of the run."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from appdb.models import RunEvent, RunView
from appserver.streams.log_reader import PAGE
from appserver.streams.run_frames import EVERYTHING, FrameChoice, RunEncoder, RunFrame
from appserver.streams.run_reader import RunLogReader, RunSources, frame_of
from appserver.streams.stream_viewer import StreamViewer


class RunStreams:
    """
    The streams of runs of this host.

    Args:
        sources: Where they read.
        encode: The form in which frames are sent.
    """

    def __init__(self, sources: RunSources, *, encode: RunEncoder) -> None:
        self._sources = sources
        self._encode = encode
        self._readers: dict[str, RunLogReader] = {}

    async def follow(
        self, run_id: str, owner_id: str, *, after: int | None = None, choice: FrameChoice = EVERYTHING
    ) -> AsyncIterator[bytes]:
        """Yield what *choice* has of a run: a snapshot, or every event behind *after*; then what comes, to the end.

        It ends early when the viewer takes frames more slowly than they come; nothing is lost, since the log stays.
        """
        async for frame in self._frames(run_id, owner_id, after):
            if text := choice.text_of(frame):
                yield text

    async def _frames(self, run_id: str, owner_id: str, after: int | None) -> AsyncGenerator[RunFrame]:
        if after is not None:
            # What is logged already is read at the viewer's own pace, so a long log does not count as being slow.
            async for frame in self._catch_up(run_id, owner_id, after):
                after = after if frame.seq is None else frame.seq
                yield frame
        async with self._reader(run_id, owner_id) as reader:
            viewer: StreamViewer[RunFrame] = StreamViewer()
            try:
                tasks = await reader.join(viewer)
                # After joining, so that nothing can come between what this says and the viewer's first frame.
                view = await self._sources.states.read(run_id, owner_id=owner_id)
                last = view.run.event_count - 1
                if after is None:
                    yield self._encode.snapshot(view, await self._ending(view), tasks)
                else:
                    async for frame in self._catch_up(run_id, owner_id, after, before=last + 1):
                        yield frame
                    yield self._encode.tasks(last, tasks)
                if view.run.position.ended is not None:
                    yield self._encode.end(view.run)
                    return
                async for frame in self._live(viewer, run_id, owner_id, last):
                    yield frame
            finally:
                reader.part(viewer)

    async def _ending(self, view: RunView) -> RunEvent | None:
        if view.run.position.ended is None:
            return None
        run = view.run
        last = await self._sources.events.log(run.id, owner_id=run.owner_id, after=view.state.seq - 1, limit=1)
        return last[0] if last else None

    async def _live(
        self, viewer: StreamViewer[RunFrame], run_id: str, owner_id: str, seq: int
    ) -> AsyncGenerator[RunFrame]:
        while (frame := await viewer.next()) is not None:
            if frame.seq is not None and frame.seq <= seq:
                continue
            seq = seq if frame.seq is None else frame.seq
            yield frame
            if frame.ends:
                view = await self._sources.states.read(run_id, owner_id=owner_id)
                # It may have gone on meanwhile; then there is more to come.
                if view.run.event_count == seq + 1:
                    yield self._encode.end(view.run)
                    return

    async def _catch_up(
        self, run_id: str, owner_id: str, after: int, before: int | None = None
    ) -> AsyncGenerator[RunFrame]:
        """Yield the events behind *after* that are logged now, up to and without *before*."""
        while before is None or before > after + 1:
            page = deque(await self._sources.events.log(run_id, owner_id=owner_id, after=after, limit=PAGE))
            if not page:
                return
            # A viewer may take long, and what it has taken is kept no longer.
            while page:
                event = page.popleft()
                if before is not None and event.seq >= before:
                    return
                after = event.seq
                yield frame_of(event, self._encode)

    @asynccontextmanager
    async def _reader(self, run_id: str, owner_id: str) -> AsyncIterator[RunLogReader]:
        """Yield the reader of a run, one for all of its viewers."""
        reader = self._readers.get(run_id)
        if reader is None:
            reader = self._readers[run_id] = RunLogReader(run_id, owner_id, self._sources, self._encode)
        reader.enter()
        try:
            yield reader
        finally:
            if reader.leave():
                self._readers.pop(run_id, None)
