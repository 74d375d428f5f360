"""Routes of going back in a run; each can be asked for its plan first, by ``dry_run``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from appserver.api.dependencies import JsonDep
from appserver.api.run_views import shown_run
from appserver.api.schemas.run_actions import (
    BranchRequest,
    JumpRequest,
    MoveRequest,
    PlanView,
    ResetRequest,
    RetryRequest,
    SwitchRequest,
    WayBackRequest,
    WentBackView,
)
from appserver.engine.runner.going_back import FindWay
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.routing import Router
from appserver.state import AppState

router = Router(prefix="/api/runs/{run_id}", tags=["runs"])
DryRun = Annotated[bool, Query(description="Whether only the plan is wanted, and nothing is done.")]


@router.post("/retry")
async def retry(
    run_id: str, body: RetryRequest, _json: JsonDep, owner: OwnerDep, state: StateDep, dry_run: DryRun = False
) -> WentBackView:
    """Let a module run again on the same line of history; what came after it is undone."""
    find = state.engine.ways.retry(body.module, body.feedback, body.inputs, failed_only=body.failed_only)
    return await _went_back(run_id, owner, state, find, body, dry_run=dry_run)


@router.post("/jump")
async def jump(
    run_id: str, body: JumpRequest, _json: JsonDep, owner: OwnerDep, state: StateDep, dry_run: DryRun = False
) -> WentBackView:
    """Go back before a module on a new branch; what was stays on the branch that is left."""
    find = state.engine.ways.jump(body.module, body.feedback)
    return await _went_back(run_id, owner, state, find, body, dry_run=dry_run)


@router.post("/branch")
async def branch(
    run_id: str, body: BranchRequest, _json: JsonDep, owner: OwnerDep, state: StateDep, dry_run: DryRun = False
) -> WentBackView:
    """Ask an old question again on a new branch, with the old answer to begin with."""
    find = state.engine.ways.branch_from(body.interaction_id)
    return await _went_back(run_id, owner, state, find, body, dry_run=dry_run)


@router.post("/switch")
async def switch(
    run_id: str, body: SwitchRequest, _json: JsonDep, owner: OwnerDep, state: StateDep, dry_run: DryRun = False
) -> WentBackView:
    """Go on where another branch has ended."""
    find = state.engine.ways.switch(body.branch_id)
    return await _went_back(run_id, owner, state, find, body, dry_run=dry_run)


@router.post("/version")
async def move(
    run_id: str, body: MoveRequest, _json: JsonDep, owner: OwnerDep, state: StateDep, dry_run: DryRun = False
) -> WentBackView:
    """Follow another version from now on, or from the first module on that differs."""
    find = state.engine.ways.move(body.version_id)
    return await _went_back(run_id, owner, state, find, body, dry_run=dry_run)


@router.post("/reset")
async def reset(
    run_id: str, body: ResetRequest, _json: JsonDep, owner: OwnerDep, state: StateDep, dry_run: DryRun = False
) -> WentBackView:
    """Begin again, with the same input or another one; what was stays in the log."""
    find = state.engine.ways.reset(body.input)
    return await _went_back(run_id, owner, state, find, body, dry_run=dry_run)


async def _went_back(
    run_id: str, owner: str, state: AppState, find: FindWay, body: WayBackRequest, *, dry_run: bool
) -> WentBackView:
    if dry_run:
        return WentBackView(plan=PlanView.of(await state.engine.returner.planned(run_id, owner, find)), run=None)
    went = await state.engine.returner.go(run_id, owner, find, last_seq=body.last_seq)
    return WentBackView(plan=PlanView.of(went.plan), run=await shown_run(went.view, state.stores.events))
