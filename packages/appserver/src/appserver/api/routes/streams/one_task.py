"""The stream of one task: a snapshot, then every event of its log, then the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import Response
from sse_starlette import EventSourceResponse

from appdb import Task
from appserver.api.event_frames import snapshot_frame
from appserver.api.schemas.contents import ContentView
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.routing import Router
from appserver.http.sse import TaskStreamResponse, asked_cursor, stream_text
from appserver.state import AppState
from appserver.streams.cursor import TaskCursor
from appserver.streams.frames import StreamFrame
from appserver.tasks.worker_presence import worker_presence

router = Router(prefix="/api", tags=["streams"])


@router.get("/tasks/{task_id}/stream", response_class=EventSourceResponse, responses={204: {"description": "Over"}})
async def stream_task(
    task_id: str,
    owner: OwnerDep,
    state: StateDep,
    last_event_id: Annotated[str | None, Header(description="Sent by browsers that come back; it wins.")] = None,
    after: Annotated[str | None, Query(description="The last event that the caller knows.")] = None,
) -> Response:
    """Follow a task: without a position a ``snapshot`` first, then every event once and in order, then the end.

    A caller that knows the terminal event gets 204, on which browsers stop. Closing a stream cancels nothing.
    """
    task = await state.queue.get(task_id, owner_id=owner)
    field, text = asked_cursor(last_event_id, after)
    cursor = None if text is None else TaskCursor.parse(field, text, task)
    if cursor is not None and cursor.ends(task):
        return Response(status_code=HTTPStatus.NO_CONTENT)
    state.streams.check_capacity(owner)
    frames = _frames(task, owner, state, cursor)
    return TaskStreamResponse(stream_text(frames, task_id=task.id), state, owner)


async def _frames(task: Task, owner: str, state: AppState, cursor: TaskCursor | None) -> AsyncIterator[StreamFrame]:
    if cursor is None:
        made, presence = await asyncio.gather(
            state.contents.list_for_task(task.id, owner_id=owner), worker_presence(state.registry)
        )
        snapshot = snapshot_frame(task, [ContentView.of(content) for content in made], presence)
        yield snapshot
        if snapshot.final:
            return
        cursor = TaskCursor(task_id=task.id, seq=snapshot.seq)
    async for frame in state.streams.follow(cursor):
        yield frame
