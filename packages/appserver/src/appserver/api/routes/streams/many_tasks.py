"""Several tasks in one stream: a browser opens six connections to a host, and shares one among all of its tabs."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import Response
from sse_starlette import EventSourceResponse

from appdb import AppDbError, Task, UnreadableError
from appserver.api.frames import PING, Frame
from appserver.api.routes.streams.one_task import RETRY_MILLISECONDS, TaskStream
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.problems import FieldError, ProblemError
from appserver.http.routing import Router
from appserver.state import AppState

logger = logging.getLogger(__name__)
router = Router(prefix="/api", tags=["streams"])

MAX_TASKS = 50
AHEAD = 16
"""Frames that wait for the viewer here; what comes behind them waits in each task's own, bounded backlog."""

Cursor = dict[str, int]
"""The last event that the viewer knows of each task."""

Coming = asyncio.Queue[tuple[str, Frame | None]]
"""What the tasks' logs give, in the order in which it comes; ``None`` where a log is read no further."""


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
    field, text = ("Last-Event-ID", last_event_id) if last_event_id else ("after", after)
    cursor = _cursor(field, text)
    tasks = await _readable(cursor, owner, state)
    for task in tasks:
        if not -1 <= cursor[task.id] <= task.last_seq:
            raise _malformed(field, f"{task.id} has the events 0 to {task.last_seq}; -1 asks for all of them")
    live = [task.id for task in tasks if not (task.state.final and cursor[task.id] == task.last_seq)]
    if not live:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    state.streams.check_capacity(owner)
    return TaskStream(_frames({task_id: cursor[task_id] for task_id in live}, state), state, owner)


async def _readable(cursor: Cursor, owner: str, state: AppState) -> list[Task]:
    """Return the tasks of *cursor*; one that cannot be read is left out, and ends nobody else's stream."""
    asked = (state.queue.get(task_id, owner_id=owner) for task_id in cursor)
    found = await asyncio.gather(*asked, return_exceptions=True)
    tasks = [task for task in found if isinstance(task, Task)]
    for problem in found:
        if isinstance(problem, BaseException):
            if not tasks or not isinstance(problem, UnreadableError):
                raise problem
            logger.warning("a stream leaves out a task that cannot be read", extra={"error": str(problem)})
    return tasks


async def _frames(cursor: Cursor, state: AppState) -> AsyncIterator[bytes]:
    retry: int | None = random.randint(*RETRY_MILLISECONDS)
    yield PING
    try:
        async for task_id, frame in _merged(cursor, state):
            cursor[task_id] = frame.seq
            known = frame.known_as(",".join(f"{name}:{seq}" for name, seq in cursor.items()))
            yield known.text if retry is None else known.asking_to_retry_in(retry)
            retry = None
    except AppDbError as exc:
        # The answer has begun, so all that is left is to end it; the viewer comes back with its cursor.
        logger.warning("a stream ends without its database", extra={"tasks": len(cursor), "error": str(exc)})


async def _merged(cursor: Cursor, state: AppState) -> AsyncIterator[tuple[str, Frame]]:
    """Yield the frames of all tasks as they come; end when all have ended, or when one is to be taken up anew."""
    coming: Coming = asyncio.Queue()
    room = asyncio.Semaphore(AHEAD)

    async def pump(task_id: str, after: int) -> None:
        async for frame in state.streams.follow(task_id, after):
            await room.acquire()
            coming.put_nowait((task_id, frame))

    pumps = {task_id: asyncio.create_task(pump(task_id, after)) for task_id, after in cursor.items()}
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
) -> AsyncIterator[tuple[str, Frame]]:
    final: set[str] = set()
    while len(final) < len(pumps):
        task_id, frame = await coming.get()
        if frame is not None:
            if frame.final:
                final.add(task_id)
            yield task_id, frame
        elif task_id not in final:
            await pumps[task_id]
            return


def _cursor(field: str, text: str) -> Cursor:
    cursor: Cursor = {}
    for part in text.split(","):
        task_id, _, seq = part.rpartition(":")
        if not task_id or not seq.removeprefix("-").isascii() or not seq.removeprefix("-").isdigit() or len(seq) > 12:
            raise _malformed(field, "it must be TASK:SEQ, parted by commas")
        cursor[task_id] = int(seq)
    if len(cursor) > MAX_TASKS:
        raise _malformed(field, f"it names {len(cursor)} tasks, and one stream follows at most {MAX_TASKS}")
    return cursor


def _malformed(field: str, message: str) -> ProblemError:
    error = FieldError(field=field, message=message)
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: {message}", errors=[error])
