"""Event frames: the events of logs, and snapshots of tasks, as streams of the JSON API carry them."""

from __future__ import annotations

from collections.abc import Sequence

from appdb import Task, TaskEvent
from appserver.api.schemas.contents import ContentView
from appserver.api.schemas.streams import EventView, TaskSnapshot
from appserver.api.schemas.tasks import TaskView
from appserver.http.sse import sse_block
from appserver.streams.frames import StreamFrame
from appserver.tasks.worker_presence import WorkerPresence

MAX_SNAPSHOT_BYTES = 512 * 1024
"""Of a snapshot's data. Events stay below it by themselves: 64 KiB, which JSON escapes may make six times as long."""
LEFT_OUT_FIRST = ("payload", "result", "contents")


def event_frame(event: TaskEvent) -> StreamFrame:
    """Return an event of a task's log as it is sent; its name is its type, and its id its number."""
    data = EventView.of(event).model_dump_json()
    return StreamFrame(seq=event.seq, final=event.type.terminal, text=sse_block(event.seq, event.type.value, data))


def snapshot_frame(task: Task, contents: Sequence[ContentView], presence: WorkerPresence) -> StreamFrame:
    """Return *task* with what it has made as it is sent; the parts that make it too large are left out, and named."""
    snapshot = TaskSnapshot(**TaskView.of(task, presence).model_dump(), contents=list(contents))
    data = snapshot.model_dump_json()
    for name in LEFT_OUT_FIRST:
        if len(data.encode()) <= MAX_SNAPSHOT_BYTES:
            break
        snapshot = snapshot.model_copy(update={name: None, "left_out": [*snapshot.left_out, name]})
        data = snapshot.model_dump_json()
    return StreamFrame(seq=task.last_seq, final=task.state.final, text=sse_block(task.last_seq, "snapshot", data))
