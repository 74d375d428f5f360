"""The stream of one run: a snapshot, then every event of its log with the output of its open tasks, then the end."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Query
from fastapi.responses import Response
from sse_starlette import EventSourceResponse

from appserver.http.callers import OwnerDep, StateDep
from appserver.http.routing import Router
from appserver.http.sse import TaskStreamResponse, asked_cursor, stream_text
from appserver.streams.cursor import run_position
from appserver.streams.run_frames import FrameChoice

router = Router(prefix="/api", tags=["streams"])


@router.get("/runs/{run_id}/stream", response_class=EventSourceResponse)
async def stream_run(
    run_id: str,
    owner: OwnerDep,
    state: StateDep,
    last_event_id: Annotated[str | None, Header(description="Sent by browsers that come back; it wins.")] = None,
    after: Annotated[str | None, Query(description="The last event that the caller knows.")] = None,
    types: Annotated[list[str], Query(max_length=50, description="Only events of these names.")] = [],  # noqa: B006
    module: Annotated[list[str], Query(max_length=50, description="Only what concerns these modules.")] = [],  # noqa: B006
) -> Response:
    """Follow a run: without a position a ``snapshot`` first, then every event once and in order, up to ``end``.

    What its open tasks stream rides along without an id. Closing a stream cancels nothing, and a run that has ended can
    go on: open a stream again with your position then.
    """
    run = await state.stores.runs.get(run_id, owner_id=owner)
    field, text = asked_cursor(last_event_id, after)
    position = None if text is None else run_position(field, text, run)
    state.streams.check_capacity(owner)
    choice = FrameChoice(types=frozenset(types), modules=frozenset(module))
    frames = state.run_streams.follow(run, after=position, choice=choice)
    return TaskStreamResponse(stream_text(frames, run_id=run_id), state, owner)
