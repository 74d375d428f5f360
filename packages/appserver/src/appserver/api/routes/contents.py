"""Content: what tasks have made, and its bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from appdb.models.generated_content import Content
from appserver.api.schemas.tasks import ContentPage, ContentView
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.problems import ProblemError, cursor_of_a_page
from appserver.http.ranges import ByteRange, UnsatisfiableRangeError, matches, parse_range
from appserver.http.routing import Router
from appserver.http.sending import BytesResponse
from appserver.state import AppState

router = Router(prefix="/api/contents", tags=["contents"])

SHOWN_INLINE = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/webp",
        "audio/wav",
        "audio/mpeg",
        "audio/ogg",
        "video/mp4",
        "video/webm",
        "text/plain",
    }
)
"""Everything else is offered as a download: a browser must never run what somebody had generated."""
KEPT = "private, max-age=31536000, immutable"
"""These bytes never change; somebody else who uses the same browser does not get them from its cache."""
FILE_POLICY = "default-src 'none'; sandbox"


class ContentQuery(BaseModel):
    """Which content items."""

    model_config = ConfigDict(extra="forbid")

    task_id: str | None = Field(None, max_length=100, description="Only this task's, all of them, by index.")
    before: str | None = Field(None, max_length=100)
    limit: int = Field(50, ge=1, le=200)


@router.get("")
async def list_contents(query: Annotated[ContentQuery, Query()], owner: OwnerDep, state: StateDep) -> ContentPage:
    """Return a task's content items, or a page of all of the caller's, newest first."""
    if query.task_id is not None:
        await state.queue.get(query.task_id, owner_id=owner)
        made = await state.contents.list_for_task(query.task_id, owner_id=owner)
        return ContentPage(items=[ContentView.of(content) for content in made], next=None)
    with cursor_of_a_page():
        found = await state.contents.page(owner_id=owner, before=query.before, limit=query.limit)
    following = found[-1].id if len(found) == query.limit else None
    return ContentPage(items=[ContentView.of(content) for content in found], next=following)


@router.get("/{content_id}")
async def get_content(content_id: str, owner: OwnerDep, state: StateDep) -> ContentView:
    """Return a content item of the caller's."""
    return ContentView.of(await state.contents.get(content_id, owner_id=owner))


@router.get("/{content_id}/file", response_class=Response)
async def get_latest_file(
    content_id: str, request: Request, owner: OwnerDep, state: StateDep, download: bool = False
) -> Response:
    """Return the bytes that the item has now, or a range of them."""
    content = await state.contents.get(content_id, owner_id=owner)
    # A re-run may replace the bytes under the same id, so a copy is asked for again; the digest makes that cheap.
    return _answer(request, content, state, _headers(content, download) | {"Cache-Control": "private, no-cache"})


@router.get("/{content_id}/file/{sha256}", response_class=Response)
async def get_file(
    content_id: str, sha256: str, request: Request, owner: OwnerDep, state: StateDep, download: bool = False
) -> Response:
    """Return the bytes with this digest, or a range of them; 404 once others have replaced them."""
    content = await state.contents.get(content_id, owner_id=owner)
    if content.sha256 != sha256:
        detail = f"content {content_id!r} has other bytes now; look it up again to get their address"
        raise ProblemError(HTTPStatus.NOT_FOUND, detail)
    return _answer(request, content, state, _headers(content, download) | {"Cache-Control": KEPT})


def _answer(request: Request, content: Content, state: AppState, headers: dict[str, str]) -> Response:
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    part = _asked_range(request, content, headers["ETag"]) if request.method == "GET" else None
    whole = ByteRange(start=0, end=content.size)
    if part is not None:
        headers["Content-Range"] = part.content_range(content.size)
    wanted = part or whole
    headers["Content-Length"] = str(wanted.end - wanted.start)
    status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=content.media_type)
    body = state.contents.read(content, start=wanted.start, end=wanted.end)
    return BytesResponse(body, status, headers, media_type=content.media_type)


def _headers(content: Content, download: bool) -> dict[str, str]:
    inline = content.media_type in SHOWN_INLINE and not download
    return {
        "ETag": f'"{content.sha256}"',
        "Accept-Ranges": "bytes",
        "Vary": "Authorization, Cookie",
        "Content-Disposition": f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{quote(content.filename)}",
        "Content-Security-Policy": FILE_POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _asked_range(request: Request, content: Content, etag: str) -> ByteRange | None:
    condition = request.headers.get("if-range")
    if condition is not None and condition.strip() != etag:
        return None
    try:
        return parse_range(request.headers.get("range"), content.size)
    except UnsatisfiableRangeError:
        headers = {"Content-Range": f"bytes */{content.size}"}
        detail = f"The item has {content.size} bytes; ask for a range that begins before its end."
        raise ProblemError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, detail, headers=headers) from None
