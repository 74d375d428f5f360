"""Streams of runs: a snapshot or what was missed, then everything live, up to the end of the run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from appdb.models import Run
from appserver.streams.completions import completion_of
from appserver.streams.missed_events import MissedEvents
from appserver.streams.run_frames import EVERYTHING, FrameChoice, RunEncoder, RunFrame
from appserver.streams.run_reader import RunLogReader, RunSources
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
        self, run: Run, *, after: int | None = None, choice: FrameChoice = EVERYTHING
    ) -> AsyncIterator[bytes]:
        """Yield what *choice* has of a run: a snapshot, or every event behind *after*; then what comes, to the end.

        It ends early when the viewer takes frames more slowly than they come; nothing is lost, since the log stays.

        Args:
            run: The run, as it was just read for its owner.
            after: The newest event that the viewer knows.
            choice: What is sent of it.
        """
        async for frame in self._frames(run, after):
            for part in choice.parts_of(frame):
                yield part

    async def _frames(self, run: Run, after: int | None) -> AsyncGenerator[RunFrame]:
        async with self._reader(run) as reader:
            missed = MissedEvents(run, self._sources.events, reader.starts, self._encode)
            if after is not None:
                # What is logged already is read at the viewer's own pace, so a long log does not count as being slow.
                async for frame in missed.since(after):
                    after = after if frame.seq is None else frame.seq
                    yield frame
            viewer: StreamViewer[RunFrame] = StreamViewer()
            try:
                live = await reader.join(viewer)
                # After joining, so that nothing can come between what this says and the viewer's first frame.
                view = await self._sources.states.read(run.id, owner_id=run.owner_id)
                last = view.run.event_count - 1
                if after is None:
                    yield self._encode.snapshot(view, await completion_of(view, self._sources.events), live)
                else:
                    async for frame in missed.between(after, last + 1):
                        yield frame
                    yield self._encode.tasks(last, live)
                if view.run.position.ended is not None:
                    yield self._encode.end(view.run)
                    return
                async for frame in self._live(viewer, run, last):
                    yield frame
            finally:
                reader.part(viewer)

    async def _live(self, viewer: StreamViewer[RunFrame], run: Run, seq: int) -> AsyncGenerator[RunFrame]:
        while (frame := await viewer.next()) is not None:
            if frame.seq is not None and frame.seq <= seq:
                continue
            seq = seq if frame.seq is None else frame.seq
            yield frame
            if frame.ends:
                view = await self._sources.states.read(run.id, owner_id=run.owner_id)
                # It may have gone on meanwhile; then there is more to come.
                if view.run.event_count == seq + 1:
                    yield self._encode.end(view.run)
                    return

    @asynccontextmanager
    async def _reader(self, run: Run) -> AsyncIterator[RunLogReader]:
        """Yield the reader of a run, one for all of its viewers."""
        reader = self._readers.get(run.id)
        if reader is None:
            reader = self._readers[run.id] = RunLogReader(run.id, run.owner_id, self._sources, self._encode)
        reader.enter()
        try:
            yield reader
        finally:
            if reader.leave():
                self._readers.pop(run.id, None)
