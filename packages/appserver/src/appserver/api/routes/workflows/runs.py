"""Routes of runs: start, list, read, send messages to, cancel and delete them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Query, Response

from appdb.models import RunStatus
from appserver.api.dependencies import IdempotencyKey, JsonDep, check_definition_keys
from appserver.api.run_views import shown_run
from appserver.api.schemas.run_actions import ActionRequest, SignalRequest
from appserver.api.schemas.runs import (
    RunDetail,
    RunPage,
    RunQuery,
    RunRequest,
    RunStateView,
    RunSummary,
    ShownRun,
)
from appserver.engine.parts import questions_of_parts
from appserver.engine.service import NewStart
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.paging import page_cursor
from appserver.http.routing import Router

router = Router(prefix="/api/runs", tags=["runs"])
LATER: dict[int | str, dict[str, Any]] = {
    HTTPStatus.ACCEPTED: {"model": ShownRun, "description": "The run waits for those before it."}
}


@router.post("", status_code=HTTPStatus.CREATED, responses=LATER, dependencies=[Depends(check_definition_keys)])
async def start_run(
    body: RunRequest,
    _json: JsonDep,
    response: Response,
    owner: OwnerDep,
    state: StateDep,
    idempotency_key: IdempotencyKey = None,
) -> ShownRun:
    """Start a run; the answer has what it asks first. With the same key again, the first one's run as it is now.

    202 while it waits for those before it (`"when_open": "enqueue"`): it begins by itself, under the same id.
    """
    start = NewStart(
        owner_id=owner,
        input=body.input,
        template_id=body.template_id,
        version_id=body.version_id,
        definition=body.definition,
        project=body.project,
        key=idempotency_key,
        when_open=body.when_open,
    )
    view, _ = await state.engine.start(start)
    response.headers["Location"] = f"/api/runs/{view.run.id}"
    if view.run.status is RunStatus.WAITING:
        response.status_code = HTTPStatus.ACCEPTED
    return await shown_run(view, state.stores.events)


@router.get("")
async def list_runs(query: Annotated[RunQuery, Query()], owner: OwnerDep, state: StateDep) -> RunPage:
    """Return a page of the caller's runs, newest first, without those that are parts of others."""
    with page_cursor():
        found = await state.stores.runs.page(
            owner_id=owner,
            statuses=query.status,
            project=query.project,
            template_id=query.template_id,
            before=query.before,
            limit=query.limit,
        )
    following = found[-1].id if len(found) == query.limit else None
    return RunPage(items=[RunSummary.of_run(run) for run in found], next=following)


@router.get("/{run_id}")
async def get_run(run_id: str, owner: OwnerDep, state: StateDep) -> RunDetail:
    """Return a run of the caller's: where it is, what it and its parts ask, and what it waits for."""
    view = await state.engine.view(run_id, owner_id=owner)
    shown = await shown_run(view, state.stores.events)
    return RunDetail.of_parts(shown, await questions_of_parts(view, state.stores.lists))


@router.get("/{run_id}/state")
async def get_run_state(
    run_id: str,
    owner: OwnerDep,
    state: StateDep,
    at: Annotated[int | None, Query(ge=0, description="The event after which; the newest one by default.")] = None,
    branch_id: Annotated[str | None, Query(max_length=100, description="On which branch; needs `at`.")] = None,
) -> RunStateView:
    """Return the state of a run, now or after one of its events."""
    if at is None:
        return RunStateView.of(run_id, (await state.engine.view(run_id, owner_id=owner)).state)
    return RunStateView.of(run_id, await state.stores.states.at(run_id, at, owner_id=owner, branch_id=branch_id))


@router.get("/{run_id}/children")
async def list_children(run_id: str, owner: OwnerDep, state: StateDep) -> RunPage:
    """Return the runs that are parts of a run, oldest first; at most 200."""
    found = await state.stores.runs.children(run_id, owner_id=owner, limit=200)
    return RunPage(items=[RunSummary.of_run(run) for run in found], next=None)


@router.post("/{run_id}/signals")
async def send_signal(
    run_id: str,
    body: SignalRequest,
    _json: JsonDep,
    owner: OwnerDep,
    state: StateDep,
    idempotency_key: IdempotencyKey = None,
) -> ShownRun:
    """Send a message to a run; one that comes before the run waits for it is kept."""
    view = await state.engine.signal(run_id, body.name, body.payload, owner_id=owner, key=idempotency_key)
    return await shown_run(view, state.stores.events)


@router.post("/{run_id}/actions")
async def do_action(
    run_id: str,
    body: ActionRequest,
    _json: JsonDep,
    owner: OwnerDep,
    state: StateDep,
    idempotency_key: IdempotencyKey = None,
) -> ShownRun:
    """Do a sub-action of the module whose question is open, such as to make one more picture."""
    view = await state.engine.act(
        run_id, body.module, body.action, owner_id=owner, arguments=body.arguments, key=idempotency_key
    )
    return await shown_run(view, state.stores.events)


@router.post("/{run_id}/look")
async def look_at_run(run_id: str, owner: OwnerDep, state: StateDep) -> ShownRun:
    """Go on with a run by what is stored; harmless where nothing is stuck."""
    return await shown_run(await state.engine.look(run_id, owner_id=owner), state.stores.events)


@router.post("/{run_id}/cancel")
async def cancel_run(run_id: str, owner: OwnerDep, state: StateDep) -> ShownRun:
    """Cancel a run with its tasks and parts; doing it again changes nothing."""
    return await shown_run(await state.engine.cancel(run_id, owner_id=owner), state.stores.events)


@router.delete("/{run_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_run(run_id: str, owner: OwnerDep, state: StateDep) -> None:
    """Delete a run with its log, files and tasks; what it cost stays counted, and its contents stay."""
    await state.engine.delete(run_id, owner_id=owner)
