"""The stream of several tasks: a browser opens six connections to a host, and shares one among all of its tabs.

Decision record 0017 tells what else was tried.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import Response
from sse_starlette import EventSourceResponse

from appdb import Task, UnreadableError
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.routing import Router
from appserver.http.sse import TaskStreamResponse, asked_cursor, stream_text, with_id
from appserver.state import AppState
from appserver.streams.cursor import TaskCursors
from appserver.streams.frames import StreamFrame
from appserver.streams.merging import merged

logger = logging.getLogger(__name__)
router = Router(prefix="/api", tags=["streams"])


@router.get("/stream", response_class=EventSourceResponse, responses={204: {"description": "Over"}})
async def stream_tasks(
    owner: OwnerDep,
    state: StateDep,
    after: Annotated[
        str, Query(max_length=5_000, description="What to follow: `TASK:SEQ,TASK:SEQ`, with -1 for a whole log.")
    ],
    last_event_id: Annotated[str | None, Header(max_length=5_000, description="Sent by browsers; it wins.")] = None,
) -> Response:
    """Follow up to 50 tasks: every event of each once and in order, until all have ended; then 204.

    An event's data names its `task_id`, and its id is the `after` with which to go on.
    """
    field, text = asked_cursor(last_event_id, after)
    cursors = TaskCursors.parse(field, text)
    tasks = await _readable(cursors, owner, state)
    cursors.check(field, tasks)
    live = cursors.without_ended(tasks)
    if not live.task_ids:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    state.streams.check_capacity(owner)
    return TaskStreamResponse(stream_text(_frames(live, state), tasks=len(live.task_ids)), state, owner)


async def _readable(cursors: TaskCursors, owner: str, state: AppState) -> list[Task]:
    """Return the tasks of *cursors*; one that cannot be read is left out, and ends nobody else's stream."""
    asked = (state.queue.get(task_id, owner_id=owner) for task_id in cursors.task_ids)
    found = await asyncio.gather(*asked, return_exceptions=True)
    tasks = [task for task in found if isinstance(task, Task)]
    for problem in found:
        if isinstance(problem, BaseException):
            if not tasks or not isinstance(problem, UnreadableError):
                raise problem
            logger.warning("a stream leaves out a task that cannot be read", extra={"error": str(problem)})
    return tasks


async def _frames(cursors: TaskCursors, state: AppState) -> AsyncIterator[StreamFrame]:
    async for task_id, frame in merged(cursors, state.streams):
        cursors.move(task_id, frame.seq)
        yield with_id(frame, str(cursors))
