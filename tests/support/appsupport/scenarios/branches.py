"""Scenarios of ``BranchRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from appdb import BranchRepository, DbEventType, EventRepository, WorkflowRepository
from appdb._driver import RawDocument
from appdb.models import NewRunEvent
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json, told
from appsupport.scenarios.staged_runs import begun, branch_of, fork_of, forked, worked

E = DbEventType
FAR = datetime(2999, 1, 1, tzinfo=UTC)


async def _left(stage: Stage) -> str:
    """Make a branch that its run has left for a new root, and return its id."""
    run_id = await worked(stage)
    await WorkflowRepository(stage.database).reset(run_id, owner_id=stage.owner, branch_id=branch_of(run_id))
    return branch_of(run_id)


async def _branch(stage: Stage) -> str:
    return branch_of(await begun(stage))


def _fork(branches: BranchRepository, made: str, owner_id: str) -> Any:
    why = NewRunEvent(type=E.WORKFLOW_RESUMED)
    return branches.fork(made, 12, why, owner_id=owner_id, branch_id=branch_of(made))


async def _switch(branches: BranchRepository, made: str, owner_id: str) -> Any:
    return await branches.switch(made, branch_of(made), owner_id=owner_id, branch_id=fork_of(made))


def _of_run(method: str) -> Scenario:
    return Scenario(
        method=f"BranchRepository.{method}",
        prepare=forked,
        call=lambda branches, made, owner_id: getattr(branches, method)(made, owner_id=owner_id),
    )


async def _fork_text(stage: Stage, text: str) -> Mapping[str, object]:
    run_id = await begun(stage)
    why = NewRunEvent(type=E.JUMP_REQUESTED, step=text, module=text, data=hostile_json(text))
    await BranchRepository(stage.database).fork(run_id, 0, why, owner_id=stage.owner, branch_id=branch_of(run_id))
    read = await EventRepository(stage.database).get(why.event_id, owner_id=stage.owner)
    return {"event.step": read.step, "event.module": read.module, "event.data": told(text, read.data)}


def _row(number: int) -> RawDocument:
    branch_id, run = f"br_{number:032x}", number % 2_000
    lineage = [{"branch_id": f"br_{run:032x}", "first_seq": 0, "cutoff_seq": 3}, {"branch_id": branch_id}]
    base = {"_id": branch_id, "run_id": f"wf_{run:032x}", "owner_id": f"usr_{run:032x}", "created_at": FAR}
    return base | {"lineage": lineage, "deleting": False}


SCENES = Scenes(
    subject=BranchRepository,
    scenarios=(
        Scenario(method="BranchRepository.fork", prepare=worked, call=_fork),
        Scenario(method="BranchRepository.switch", prepare=forked, call=_switch),
        Scenario(
            method="BranchRepository.get",
            prepare=_branch,
            call=lambda branches, made, owner_id: branches.get(made, owner_id=owner_id),
        ),
        _of_run("current"),
        _of_run("root"),
        _of_run("lineage"),
        _of_run("page"),
        Scenario(
            method="BranchRepository.page",
            about="the next",
            prepare=forked,
            call=lambda branches, made, owner_id: branches.page(made, owner_id=owner_id, before=fork_of(made)),
        ),
        Scenario(
            method="BranchRepository.delete",
            prepare=_left,
            call=lambda branches, made, owner_id: branches.delete(made, owner_id=owner_id),
        ),
    ),
    texts=(
        Text(method="BranchRepository.fork", fields=("event.step", "event.module", "event.data"), store=_fork_text),
    ),
    plain=frozenset({"owner_id", "run_id", "branch_id", "new_branch_id", "target_branch_id", "before", "event_id"}),
    crowds={"branches": _row},
)
