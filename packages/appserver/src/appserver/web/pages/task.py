"""The page of one task."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from appdb import ConflictError
from appserver._version import __version__
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.routing import Router
from appserver.tasks.worker_presence import worker_presence
from appserver.web.rendering import PageRoute, templates
from appserver.web.task_page import task_page

router = Router(include_in_schema=False, route_class=PageRoute)


@router.get("/tasks/{task_id}")
async def show_task(request: Request, task_id: str, owner: OwnerDep, state: StateDep) -> Response:
    """Show a generation as it is now; the page's script goes on from there."""
    task = await state.queue.get(task_id, owner_id=owner)
    contents = await state.contents.list_for_task(task_id, owner_id=owner)
    # A task that has ended needs no worker, so its page saves two queries.
    unattended = None if task.state.final else (await worker_presence(state.registry)).unattended_for(task)
    context = {"page": task_page(task, contents, unattended), "version": __version__}
    return templates.TemplateResponse(request, "task.html", context)


@router.post("/tasks/{task_id}/cancel")
async def cancel(task_id: str, owner: OwnerDep, state: StateDep) -> Response:
    """Cancel a generation from its page, and show it again."""
    with suppress(ConflictError):
        # It ended meanwhile, and its page says how.
        await state.queue.cancel(task_id, owner_id=owner)
    return RedirectResponse(f"/tasks/{task_id}", HTTPStatus.SEE_OTHER)
