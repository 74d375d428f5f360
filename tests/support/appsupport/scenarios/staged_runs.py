"""Runs of the stage's owner, for scenarios of runs; their ids follow from one another."""

from __future__ import annotations

from typing import Any

from appdb import DbEventType, EventRepository, StateRepository, WorkflowRepository, uuid7_str
from appdb.models import NewRun, NewRunEvent
from appsupport.runs.run_events import asked, completed, event, started, step_started, two_steps
from appsupport.scenarios.scenario import Stage

E = DbEventType
PROJECT = "film"
FORM = "form_1"
MODULES = 20


def branch_of(run_id: str) -> str:
    """Return the id of the first branch of a run that was made here."""
    return f"br_{run_id.removeprefix('wf_')}"


def fork_of(run_id: str) -> str:
    """Return the id of the second branch of a run that was made here."""
    return f"{branch_of(run_id)}b"


def event_of(run_id: str) -> str:
    """Return the id of the first event of a run that was made here."""
    return f"evt_{run_id.removeprefix('wf_')}"


async def begin(stage: Stage, **changes: Any) -> str:
    """Open a run whose branch and first event have ids like its own, and return its id."""
    run_id = uuid7_str("wf_")
    fields = {"project": PROJECT, "run_id": run_id, "branch_id": branch_of(run_id), "event_id": event_of(run_id)}
    await WorkflowRepository(stage.database).open(NewRun(**(fields | changes)), owner_id=stage.owner)
    return run_id


def run_of(owner_id: str) -> str:
    """Return the id of the run that ``opened`` makes of its stage's owner."""
    return f"wf_{owner_id}"


async def opened(stage: Stage) -> str:
    """Open the run that what is made on the stage belongs to, once, and return its id."""
    run_id = run_of(stage.owner)
    new = NewRun(project=run_id, run_id=run_id, branch_id=f"br_{run_id}", event_id=f"evt_{run_id}")
    await WorkflowRepository(stage.database).open(new, owner_id=stage.owner)
    return run_id


async def begun(stage: Stage) -> str:
    """Open a run, and return its id."""
    return await begin(stage)


async def append(stage: Stage, run_id: str, *events: NewRunEvent, branch_id: str | None = None) -> None:
    """Append to the first branch of a run, or to another one."""
    log = EventRepository(stage.database)
    await log.append(run_id, events, owner_id=stage.owner, branch_id=branch_id or branch_of(run_id))


async def worked(stage: Stage) -> str:
    """Make a run with one step behind it and a second one in which much happens, and return its id."""
    run_id = await begin(stage, version_id="ver_1")
    await append(stage, run_id, *two_steps())
    for number in range(MODULES):
        named = f"m{number}"
        await append(stage, run_id, started("paint", named), completed("paint", named, {named: 1}, value=1))
    retry = event(E.RETRY_REQUESTED, "paint", "m0", target_step="paint", target_module="m0", feedback="again")
    again = [retry, started("paint", "m0"), completed("paint", "m0", value=2), asked("paint", "ask", FORM, title="?")]
    await append(stage, run_id, *again)
    return run_id


async def forked(stage: Stage) -> str:
    """Make a run that has gone back to its second step on a second branch, and return its id."""
    run_id = await worked(stage)
    states = StateRepository(stage.database)
    branch_id = fork_of(run_id)
    await states.jump(run_id, "paint", owner_id=stage.owner, branch_id=branch_of(run_id), new_branch_id=branch_id)
    more = [step_started("paint"), *(completed("paint", f"m{number}", value=3) for number in range(MODULES))]
    await append(stage, run_id, *more, branch_id=branch_id)
    return run_id
