"""Merging: the logs of several tasks as one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial

from appserver.streams.cursor import TaskCursor, TaskCursors
from appserver.streams.frames import StreamFrame
from appserver.streams.task_streams import TaskStreams

AHEAD = 16
"""Frames that wait for the viewer here; the rest waits in the bounded backlog of each task."""

Coming = asyncio.Queue[tuple[str, StreamFrame | None]]
"""The frames of all logs in the order in which they come; ``None`` where a log is read no further."""


async def merged(cursors: TaskCursors, streams: TaskStreams) -> AsyncIterator[tuple[str, StreamFrame]]:
    """Yield the frames of all tasks as they come; end when all have ended, or when one is to be taken up anew."""
    # The queue itself is unbounded, so that the end of a log can always be noted; the semaphore bounds its frames.
    coming: Coming = asyncio.Queue()
    room = asyncio.Semaphore(AHEAD)

    async def pump(cursor: TaskCursor) -> None:
        async for frame in streams.follow(cursor):
            await room.acquire()
            coming.put_nowait((cursor.task_id, frame))

    pumps = {cursor.task_id: asyncio.create_task(pump(cursor)) for cursor in cursors}
    for task_id, running in pumps.items():
        running.add_done_callback(partial(_note_end, coming, task_id))
    try:
        async for item in _until_one_is_cut_off(coming, pumps):
            yield item
            room.release()
    finally:
        for running in pumps.values():
            running.cancel()
        await asyncio.gather(*pumps.values(), return_exceptions=True)


def _note_end(coming: Coming, task_id: str, _ended: asyncio.Task[None]) -> None:
    coming.put_nowait((task_id, None))


async def _until_one_is_cut_off(
    coming: Coming, pumps: Mapping[str, asyncio.Task[None]]
) -> AsyncIterator[tuple[str, StreamFrame]]:
    final: set[str] = set()
    while len(final) < len(pumps):
        task_id, frame = await coming.get()
        if frame is not None:
            if frame.final:
                final.add(task_id)
            yield task_id, frame
        elif task_id not in final:
            # The log was not read to its end: its viewer fell behind, or the read failed, which this raises.
            await pumps[task_id]
            return
