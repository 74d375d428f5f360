"""Routes of tasks and actors: list what can be done, enqueue, list, read and cancel."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Response

from appserver.api.dependencies import IdempotencyKey, JsonDep
from appserver.api.schemas.actors import ActorView
from appserver.api.schemas.tasks import TaskPage, TaskQuery, TaskRequest, TaskSummary, TaskView
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.paging import page_cursor
from appserver.http.routing import Router
from appserver.tasks.submission import Submission, submit
from appserver.tasks.worker_presence import worker_presence

router = Router(prefix="/api", tags=["tasks"])


@router.get("/actors")
async def list_actors(state: StateDep) -> list[ActorView]:
    """Return what tasks can name, with the schemas of their payloads."""
    return [ActorView.of(actor) for actor in await state.registry.actors()]


@router.post("/tasks", status_code=HTTPStatus.CREATED)
async def create_task(
    body: TaskRequest,
    _json: JsonDep,
    response: Response,
    owner: OwnerDep,
    state: StateDep,
    idempotency_key: IdempotencyKey = None,
) -> TaskView:
    """Enqueue a task. Once this has answered, no single failure loses it."""
    submission = Submission(
        owner_id=owner,
        actor=body.actor,
        payload=body.payload,
        priority=body.priority,
        idempotency_key=idempotency_key,
    )
    # Beside each other, since the presence of workers needs no task: the caller waits for one round trip less.
    task, presence = await asyncio.gather(
        submit(submission, state.registry, state.queue), worker_presence(state.registry)
    )
    response.headers["Location"] = f"/api/tasks/{task.id}"
    return TaskView.of(task, presence)


@router.get("/tasks")
async def list_tasks(query: Annotated[TaskQuery, Query()], owner: OwnerDep, state: StateDep) -> TaskPage:
    """Return a page of the caller's tasks, newest first, without their inputs and results."""
    with page_cursor():
        found = await state.queue.page(owner_id=owner, states=query.state, before=query.before, limit=query.limit)
    presence = await worker_presence(state.registry)
    # A full page may be the last one; then the next page is empty.
    following = found[-1].id if len(found) == query.limit else None
    return TaskPage(items=[TaskSummary.of(task, presence) for task in found], next=following)


@router.get("/tasks/{task_id}")
async def get_task(task_id: str, owner: OwnerDep, state: StateDep) -> TaskView:
    """Return a task of the caller's."""
    task, presence = await asyncio.gather(state.queue.get(task_id, owner_id=owner), worker_presence(state.registry))
    return TaskView.of(task, presence)


@router.post("/tasks/{task_id}/cancel")
async def cancel_task(task_id: str, owner: OwnerDep, state: StateDep) -> TaskView:
    """Cancel a task for good; doing it again changes nothing, and a finished task answers 409."""
    task = await state.queue.cancel(task_id, owner_id=owner)
    return TaskView.of(task, await worker_presence(state.registry))
