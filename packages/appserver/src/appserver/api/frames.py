"""A task's story as Server-Sent Events (WHATWG HTML, section 9.2), in the form that every client can read.

Clients differ from the standard and from each other, so a stream keeps to what all of them read alike:

- Every block has an id and data. Some clients take a block without data for an event with nothing in it (and fail to
  parse that), and some drop events until they have seen an id. So ``retry`` stands in the first event, and the line
  that keeps a connection awake is a comment alone, with no empty line behind it.
- Lines end with a line feed, and no other character that some clients take for the end of a line is in a text.
- No event is over 1 MiB: clients refuse larger ones, and would meet the same event again after each reconnect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appdb import Task, TaskEvent
from appserver.api.schemas.tasks import ContentView, EventView, Snapshot, TaskView
from appserver.tasks.attendance import Attendance

PING = b": ping\n"
MAX_SNAPSHOT_BYTES = 512 * 1024
"""Of a snapshot's data. Events stay below it by themselves: 64 KiB, which JSON escapes may make six times as long."""
LEFT_OUT_FIRST = ("payload", "result", "contents")
# What Python's httpx, and all that is built on it, takes for the end of a line beside those of the standard.
LINE_ENDS = {"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One event as it is sent.

    Args:
        seq: The number of the newest event that whoever has read this knows.
        final: Whether nothing follows.
        text: The lines, the empty one included.
    """

    seq: int
    final: bool
    text: bytes

    def known_as(self, position: str) -> Frame:
        """Return the same event under another id: of a stream of several tasks, the place in all of them."""
        rest = self.text.partition(b"\n")[2]
        return replace(self, text=b"id: %b\n%b" % (position.encode(), rest))

    def asking_to_retry_in(self, milliseconds: int) -> bytes:
        """Return the lines of a stream's first event, which tells browsers how soon to come back."""
        return b"retry: %d\n%b" % (milliseconds, self.text)


def event_frame(event: TaskEvent) -> Frame:
    """Return an event of a task's log as it is sent; its name is its type, and its id its number."""
    data = EventView.of(event).model_dump_json()
    return Frame(seq=event.seq, final=event.type.terminal, text=_block(event.seq, event.type.value, data))


def snapshot_frame(task: Task, contents: Sequence[ContentView], present: Attendance) -> Frame:
    """Return *task* with what it has made as it is sent; what makes it too large is left out, and named."""
    snapshot = Snapshot(**TaskView.of(task, present).model_dump(), contents=list(contents))
    data = snapshot.model_dump_json()
    for name in LEFT_OUT_FIRST:
        if len(data.encode()) <= MAX_SNAPSHOT_BYTES:
            break
        snapshot = snapshot.model_copy(update={name: None, "left_out": [*snapshot.left_out, name]})
        data = snapshot.model_dump_json()
    return Frame(seq=task.last_seq, final=task.state.final, text=_block(task.last_seq, "snapshot", data))


def _block(seq: int, name: str, data: str) -> bytes:
    for character, escape in LINE_ENDS.items():
        data = data.replace(character, escape)
    return f"id: {seq}\nevent: {name}\ndata: {data}\n\n".encode()
