"""Routes of content items: the lists, the items and their bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from appserver.api.schemas.contents import ContentPage, ContentQuery, ContentView
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.media import IMMUTABLE, REVALIDATED, file_response
from appserver.http.paging import page_cursor
from appserver.http.problems import ProblemError
from appserver.http.routing import Router

router = Router(prefix="/api/contents", tags=["contents"])


@router.get("")
async def list_contents(query: Annotated[ContentQuery, Query()], owner: OwnerDep, state: StateDep) -> ContentPage:
    """Return a task's content items, or a page of all of the caller's, newest first."""
    if query.task_id is not None:
        await state.queue.get(query.task_id, owner_id=owner)
        made = await state.contents.list_for_task(query.task_id, owner_id=owner)
        return ContentPage(items=[ContentView.of(content) for content in made], next=None)
    with page_cursor():
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
    return file_response(request, content, state.contents, cache_control=REVALIDATED, download=download)


@router.get("/{content_id}/file/{sha256}", response_class=Response)
async def get_file(
    content_id: str, sha256: str, request: Request, owner: OwnerDep, state: StateDep, download: bool = False
) -> Response:
    """Return the bytes with this digest, or a range of them; 404 once others have replaced them."""
    content = await state.contents.get(content_id, owner_id=owner)
    # Never other bytes than the address names: a player would go on with them in the middle.
    if content.sha256 != sha256:
        detail = f"content {content_id!r} has other bytes now; look it up again to get their address"
        raise ProblemError(HTTPStatus.NOT_FOUND, detail)
    return file_response(request, content, state.contents, cache_control=IMMUTABLE, download=download)
