"""The route of uploads: a file for a question that asks for one."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Request, Response
from starlette.requests import ClientDisconnect

from appserver.api.schemas.contents import ContentView
from appserver.engine.file_questions import FileQuestion
from appserver.errors import FileTooLargeError
from appserver.http.announced_size import announced_bytes
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.problems import ProblemError
from appserver.http.routing import Router
from appserver.tasks.uploads import FilePlace, received

router = Router(prefix="/api/runs", tags=["interactions"])
BODY = {"requestBody": {"required": True, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}}


@router.post("/{run_id}/interactions/{interaction_id}/files", status_code=HTTPStatus.CREATED, openapi_extra=BODY)
async def upload_file(
    run_id: str,
    interaction_id: str,
    request: Request,
    response: Response,
    owner: OwnerDep,
    state: StateDep,
    filename: Annotated[str, Query(min_length=1, max_length=255, description="Its name, for people alone.")] = "file",
) -> ContentView:
    """Upload a file for an open question that asks for one; its `id` is then the answer's `content_id`.

    The body is the file, as it is. What type it has is told by its bytes where they tell it, else by `Content-Type`.
    """
    view = await state.engine.view(run_id, owner_id=owner)
    asked = FileQuestion.of(view, interaction_id)
    most = min(asked.max_bytes, state.settings.upload_max_bytes)
    if announced_bytes(request.headers) > most:
        raise FileTooLargeError(most)
    place = FilePlace(run=view.run, interaction_id=interaction_id, step=asked.step, module=asked.module)
    await state.uploads.check_room(place)
    try:
        async with received(request.stream(), said=request.headers.get("content-type", ""), most=most) as file:
            asked.check(file.media_type)
            content = await state.uploads.store(file, filename, place)
    except ClientDisconnect:
        # Nobody reads this answer.
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The file did not come whole. Nothing was stored.") from None
    response.headers["Location"] = f"/api/contents/{content.id}"
    return ContentView.of(content)
