"""Routes of tasks and actors: list what can be done, enqueue, list, read, cancel and repeat."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Response

from appdb import Task
from appserver.api.dependencies import IdempotencyKey, JsonDep
from appserver.api.schemas.actors import ActorView
from appserver.api.schemas.tasks import (
    ReplayRequest,
    TaskChildren,
    TaskPage,
    TaskQuery,
    TaskRequest,
    TaskSummary,
    TaskView,
)
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.paging import page_cursor
from appserver.http.problems import ProblemError
from appserver.http.routing import Router
from appserver.tasks.submission import Submission, submit, submit_again
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


@router.get("/tasks/{task_id}/children")
async def list_children(task_id: str, owner: OwnerDep, state: StateDep) -> TaskChildren:
    """Return what a task of the caller's has spawned, oldest first, without inputs and results."""
    await state.queue.get(task_id, owner_id=owner)
    children, presence = await asyncio.gather(
        state.queue.children(task_id, owner_id=owner), worker_presence(state.registry)
    )
    return TaskChildren(items=[TaskSummary.of(child, presence) for child in children])


@router.post("/tasks/{task_id}/retry")
async def retry_task(task_id: str, response: Response, owner: OwnerDep, state: StateDep) -> TaskView:
    """Let a task that waits for its next attempt run now, or repeat a failed or cancelled one as a new task.

    The reply is what will run; of a queued, running or completed task it is 409.
    """
    await _own_task(task_id, owner, state)
    task = await state.queue.retry(task_id, owner_id=owner)
    response.headers["Location"] = f"/api/tasks/{task.id}"
    return TaskView.of(task, await worker_presence(state.registry))


@router.post("/tasks/{task_id}/replay", status_code=HTTPStatus.CREATED)
async def replay_task(
    task_id: str,
    body: ReplayRequest,
    _json: JsonDep,
    response: Response,
    owner: OwnerDep,
    state: StateDep,
    idempotency_key: IdempotencyKey = None,
) -> TaskView:
    """Enqueue a new task that repeats one that has ended, also with another payload; the old one stays as it is."""
    first = await _own_task(task_id, owner, state)
    task = await submit_again(first, body.payload, idempotency_key, state.registry, state.queue)
    response.headers["Location"] = f"/api/tasks/{task.id}"
    return TaskView.of(task, await worker_presence(state.registry))


async def _own_task(task_id: str, owner: str, state: StateDep) -> Task:
    """Return a task of the owner's that no run waits for; a run repeats its tasks itself, and counts what they cost."""
    task = await state.queue.get(task_id, owner_id=owner)
    if task.run_id is None:
        return task
    detail = f"Task {task.id} is a part of run {task.run_id}; repeat it with POST /api/runs/{task.run_id}/retry."
    raise ProblemError(HTTPStatus.CONFLICT, detail)
