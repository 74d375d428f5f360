"""Routes of what has happened in a run: its events, branches, files and usage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Query
from fastapi.responses import Response

from appdb import EventRepository
from appdb.models import BudgetKind, BudgetScope, EventFilter, UsageFilter
from appserver.api.dependencies import JsonDep
from appserver.api.schemas.run_events import RunEventPage, RunEventQuery, RunEventView
from appserver.api.schemas.run_parts import (
    BranchPage,
    BranchView,
    BudgetRequest,
    BudgetView,
    FileInfo,
    FilePage,
    FileQuery,
    FileView,
    PartQuery,
    UsageView,
)
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.paging import page_cursor
from appserver.http.routing import Router
from appserver.http.sending import BytesResponse

router = Router(prefix="/api/runs/{run_id}", tags=["runs"])
JSON_LINES = "application/jsonl"
PAGE = 500


@router.get("/events")
async def list_events(
    run_id: str, query: Annotated[RunEventQuery, Query()], owner: OwnerDep, state: StateDep
) -> RunEventPage:
    """Return a page of a run's events in order: all that happened, or what counts."""
    if not query.counting and not query.types:
        found = await state.stores.events.log(run_id, owner_id=owner, after=query.after, limit=query.limit)
    else:
        wanted = EventFilter(after=query.after, types=query.types)
        found = await state.stores.events.read(run_id, wanted, owner_id=owner, limit=query.limit)
    return RunEventPage.of(found, query.limit)


@router.get("/events.jsonl", response_class=Response, responses={200: {"content": {JSON_LINES: {}}}})
async def export_events(run_id: str, owner: OwnerDep, state: StateDep) -> Response:
    """Return all events of a run as JSON Lines."""
    # Before the first byte: an error after it could not be told any more.
    await state.stores.runs.get(run_id, owner_id=owner)
    headers = {"Content-Disposition": f'attachment; filename="{run_id}.jsonl"'}
    return BytesResponse(_lines(state.stores.events, run_id, owner), media_type=JSON_LINES, headers=headers)


async def _lines(events: EventRepository, run_id: str, owner: str) -> AsyncIterator[bytes]:
    after = -1
    while page := await events.log(run_id, owner_id=owner, after=after, limit=PAGE):
        yield b"".join(RunEventView.of(event).model_dump_json().encode() + b"\n" for event in page)
        after = page[-1].seq


@router.get("/branches")
async def list_branches(
    run_id: str, query: Annotated[PartQuery, Query()], owner: OwnerDep, state: StateDep
) -> BranchPage:
    """Return a page of a run's branches, newest first."""
    run = await state.stores.runs.get(run_id, owner_id=owner)
    with page_cursor():
        found = await state.stores.branches.page(run_id, owner_id=owner, before=query.before, limit=query.limit)
    following = found[-1].id if len(found) == query.limit else None
    return BranchPage(items=[BranchView.of(branch, run) for branch in found], next=following)


@router.get("/files")
async def list_files(run_id: str, query: Annotated[FileQuery, Query()], owner: OwnerDep, state: StateDep) -> FilePage:
    """Return a page of a run's files without their content, oldest first."""
    found = await state.stores.files.page(
        run_id, owner_id=owner, category=query.category, after=query.after, limit=query.limit
    )
    following = found[-1].id if len(found) == query.limit else None
    return FilePage(items=[FileInfo.of_file(file) for file in found], next=following)


@router.get("/files/{file_id}")
async def get_file(run_id: str, file_id: str, owner: OwnerDep, state: StateDep) -> FileView:
    """Return a file of a run with its content."""
    return FileView.of(await state.stores.files.get(file_id, owner_id=owner), run_id)


@router.get("/usage")
async def get_usage(run_id: str, owner: OwnerDep, state: StateDep) -> UsageView:
    """Return what a run has used of models, and what that cost."""
    await state.stores.runs.get(run_id, owner_id=owner)
    return UsageView.of(await state.stores.usage.totals(owner_id=owner, wanted=UsageFilter(run_id=run_id)))


@router.get("/budgets")
async def list_budgets(run_id: str, owner: OwnerDep, state: StateDep) -> list[BudgetView]:
    """Return the budgets that the run's tasks count for."""
    await state.stores.runs.get(run_id, owner_id=owner)
    return [BudgetView.of(one) for one in await state.stores.budgets.list_for(owner_id=owner, run_id=run_id)]


@router.put("/budget")
async def set_budget(run_id: str, body: BudgetRequest, _json: JsonDep, owner: OwnerDep, state: StateDep) -> BudgetView:
    """Set, raise or take away the limit of what the run may cost; a run that stopped at it goes on by a retry."""
    scope = BudgetScope(kind=BudgetKind.RUN, run_id=run_id)
    return BudgetView.of(await state.stores.budgets.set_limit(scope, body.limit, owner_id=owner))
