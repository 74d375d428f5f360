"""A task's story as Server-Sent Events (WHATWG HTML, section 9.2): snapshot, then what follows, then the end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import Response
from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from appdb import AppDbError, Task
from appserver.api.frames import PING, Frame, snapshot_frame
from appserver.api.schemas.tasks import ContentView
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.problems import FieldError, ProblemError
from appserver.http.routing import Router
from appserver.state import AppState
from appserver.tasks.attendance import attendance

logger = logging.getLogger(__name__)
router = Router(prefix="/api", tags=["streams"])

SEND_TIMEOUT_SECONDS = 10
"""A viewer that takes nothing for so long is dropped; it comes back with Last-Event-ID."""
RETRY_MILLISECONDS = (1_000, 3_000)


@router.get("/tasks/{task_id}/stream", response_class=EventSourceResponse, responses={204: {"description": "Over"}})
async def stream_task(
    task_id: str,
    owner: OwnerDep,
    state: StateDep,
    last_event_id: Annotated[str | None, Header(description="Sent by browsers that come back; it wins.")] = None,
    after: Annotated[str | None, Query(description="The last event that the caller knows.")] = None,
) -> Response:
    """Follow a task: without a position a ``snapshot`` first, then every event once and in order, then the end.

    Whoever has seen the terminal event gets 204, on which browsers stop. Closing a stream cancels nothing.
    """
    task = await state.queue.get(task_id, owner_id=owner)
    position = _position(task, last_event_id, after)
    if task.state.final and position == task.last_seq:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    state.streams.check_capacity(owner)
    return TaskStream(_frames(task, owner, state, position), state, owner)


class TaskStream(EventSourceResponse):
    """The answer; it counts as an open stream from its first to its last moment, however it ends."""

    def __init__(self, frames: AsyncIterator[bytes], state: AppState, owner: str) -> None:
        super().__init__(
            frames,
            ping=state.settings.stream_ping_seconds,
            send_timeout=SEND_TIMEOUT_SECONDS,
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        # The library would end it with an empty line, which some clients take for an event.
        self.ping_message_factory = lambda: PING  # type: ignore[assignment]  # bytes are sent as they are
        self._slot = state.streams.counted(owner)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        with self._slot:
            await super().__call__(scope, receive, send)


async def _frames(task: Task, owner: str, state: AppState, position: int | None) -> AsyncIterator[bytes]:
    retry: int | None = random.randint(*RETRY_MILLISECONDS)
    # At once, since some proxies hold an answer back until it has a body.
    yield PING
    try:
        async for frame in _story(task, owner, state, position):
            yield frame.text if retry is None else frame.asking_to_retry_in(retry)
            retry = None
    except AppDbError as exc:
        # The answer has begun, so all that is left is to end it; the viewer comes back with its position.
        logger.warning("a stream ends without its database", extra={"task_id": task.id, "error": str(exc)})


async def _story(task: Task, owner: str, state: AppState, position: int | None) -> AsyncIterator[Frame]:
    if position is None:
        made, present = await asyncio.gather(
            state.contents.list_for_task(task.id, owner_id=owner), attendance(state.registry)
        )
        snapshot = snapshot_frame(task, [ContentView.of(content) for content in made], present)
        yield snapshot
        if snapshot.final:
            return
        position = snapshot.seq
    async for frame in state.streams.follow(task.id, position):
        yield frame


def _position(task: Task, last_event_id: str | None, after: str | None) -> int | None:
    """Return the number of the last event that the caller knows, or ``None``.

    A browser that comes back by itself still has its old ``after`` in the URL, so the header wins.

    Raises:
        ProblemError: 422, it is not a number of this task's log.
    """
    field, text = ("Last-Event-ID", last_event_id) if last_event_id else ("after", after)
    if text is None:
        return None
    known = text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and len(text) <= 12
    if not known or not -1 <= int(text) <= task.last_seq:
        message = f"it must be the number of an event of this task, -1 to {task.last_seq}"
        errors = [FieldError(field=field, message=message)]
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: {message}", errors=errors)
    return int(text)
