"""Server-Sent Events (WHATWG HTML, section 9.2), in the form that every client can read.

Clients differ from the standard and from each other, so a stream keeps to what all of them read alike:

- Every block has data, and the first one an id. Some clients take a block without data for an event with nothing in
  it (and fail to parse that), and some drop events until they have seen an id. So ``retry`` stands in the first event,
  and the line that keeps a connection awake is a comment alone, with no empty line behind it.
- Lines end with a line feed, and no other character that some clients take for the end of a line is in a text.
- No event is over 1 MiB: clients refuse larger ones, and would meet the same event again after each reconnect.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TypeVar

from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from appdb import AppDbError
from appserver.state import AppState
from appserver.streams.frames import StreamFrame

After = TypeVar("After", bound=str | None)
logger = logging.getLogger(__name__)

PING = b": ping\n"
SEND_TIMEOUT_SECONDS = 10
"""A viewer that takes nothing for so long is dropped; it comes back with Last-Event-ID."""
RETRY_MILLISECONDS = (1_000, 3_000)
"""The range from which each stream's ``retry`` is drawn."""
# The standard's own ends of a line, LF and CR, are escaped by JSON. Python's httpx, and all that is built on it, takes
# these three for ends of a line too.
LINE_ENDS = {"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def asked_cursor(last_event_id: str | None, after: After) -> tuple[str, str | After]:
    """Return the field of the request that tells the viewer's cursor, and its text.

    A browser that comes back by itself still has its old ``after`` in the URL, so the header wins.
    """
    return ("Last-Event-ID", last_event_id) if last_event_id else ("after", after)


def sse_block(event_id: int | None, name: str, data: str) -> bytes:
    """Return one event with its empty line; *data* is JSON. Without an id, a client keeps the one before."""
    for character, escape in LINE_ENDS.items():
        data = data.replace(character, escape)
    numbered = "" if event_id is None else f"id: {event_id}\n"
    return f"{numbered}event: {name}\ndata: {data}\n\n".encode()


def retry_line(milliseconds: int) -> bytes:
    """Return the line of a stream's first event that tells browsers how soon to come back."""
    return b"retry: %d\n" % milliseconds


def with_id(frame: StreamFrame, event_id: str) -> StreamFrame:
    """Return the same event under another id: of a stream of several tasks, the cursors of all of them."""
    rest = frame.text.partition(b"\n")[2]
    return replace(frame, text=b"id: %b\n%b" % (event_id.encode(), rest))


async def stream_text(frames: AsyncIterator[StreamFrame | bytes], **about: object) -> AsyncIterator[bytes]:
    """Yield the text of a stream: a ping, then *frames*, the first of them with ``retry``.

    The text ends early while the database does not answer; *about* are fields for the log's line.
    """
    # At once, since some proxies hold an answer back until it has a body.
    yield PING
    retry = retry_line(random.randint(*RETRY_MILLISECONDS))
    try:
        async for frame in frames:
            yield retry + (frame if isinstance(frame, bytes) else frame.text)
            retry = b""
    except AppDbError as exc:
        # The answer has begun, so all that is left is to end it; the viewer comes back with its cursor.
        logger.warning("a stream ends without its database", extra={**about, "error": str(exc)})


class TaskStreamResponse(EventSourceResponse):
    """A stream as an answer; it counts as an open stream from its first to its last moment, however it ends."""

    def __init__(self, text: AsyncIterator[bytes], state: AppState, owner_id: str) -> None:
        super().__init__(
            text,
            ping=state.settings.stream_ping_seconds,
            send_timeout=SEND_TIMEOUT_SECONDS,
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        # The library would end it with an empty line, which some clients take for an event.
        self.ping_message_factory = lambda: PING  # type: ignore[assignment]  # bytes are sent as they are
        self._slot = state.streams.counted(owner_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        with self._slot:
            await super().__call__(scope, receive, send)
