"""`appdb runs show`: a run, what it waits for, what works for it, and what it has cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from appdb.cli.output import coloured, json_line, moment, printable, run_fields, task_fields
from appdb.cli.run_selection import named_run
from appdb.cli.selection import optional_owner_option
from appdb.cli.target import Target, pass_target
from appdb.database import Database
from appdb.models.ongoing import Wait
from appdb.models.run_state import RunState
from appdb.models.task_filters import TaskFilter
from appdb.models.tasks import LIVE_STATES, Task
from appdb.models.tokens import UsageFilter, UsageTotal
from appdb.models.workflow_runs import Run
from appdb.queue.task_queue import TaskQueue
from appdb.repos.state import StateRepository
from appdb.repos.token import TokenRepository
from appdb.repos.workflow import WorkflowRepository

MOST_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPicture:
    """A run with what hangs on it, as it is shown.

    Args:
        run: The run.
        state: Its state, folded from its events.
        tasks: Its live tasks, at most a hundred.
        children: Its child runs, at most a hundred.
        used: What its calls to models have used and cost.
    """

    run: Run
    state: RunState
    tasks: list[Task]
    children: list[Run]
    used: UsageTotal


@click.command()
@click.argument("run_id")
@optional_owner_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_target
def show(target: Target, run_id: str, owner: str | None, as_json: bool) -> None:
    """Show a run: where it is, what it waits for, its live tasks, its child runs, and what it has cost."""
    picture = target.run(lambda database: _look(database, run_id, owner))
    click.echo(json_line(_fields(picture)) if as_json else "\n".join(_lines(picture)))


async def _look(database: Database, run_id: str, owner: str | None) -> RunPicture:
    # An operator needs no owner: who reaches the database may read all of it.
    owner_id = (await named_run(database, run_id, owner)).owner_id
    view = await StateRepository(database).read(run_id, owner_id=owner_id)
    live = TaskFilter(owner_id=owner_id, run_id=run_id, states=LIVE_STATES)
    totals = await TokenRepository(database).totals(owner_id=owner_id, wanted=UsageFilter(run_id=run_id))
    return RunPicture(
        run=view.run,
        state=view.state,
        tasks=await TaskQueue(database).find(live, limit=MOST_SHOWN),
        children=await WorkflowRepository(database).children(run_id, owner_id=owner_id, limit=MOST_SHOWN),
        used=totals.user,
    )


def _fields(picture: RunPicture) -> dict[str, Any]:
    waits = [_wait_fields(wait) for wait in picture.state.waiting_on]
    return run_fields(picture.run) | {
        "waiting_on": waits,
        "tasks": [task_fields(task) for task in picture.tasks],
        "children": [run_fields(child) for child in picture.children],
        "usage": picture.used.model_dump(mode="json"),
    }


def _wait_fields(wait: Wait) -> dict[str, Any]:
    return {
        "kind": wait.kind.value,
        "id": wait.id,
        "label": wait.label,
        "since": wait.since.isoformat(),
        "until": None if wait.until is None else wait.until.isoformat(),
        "step": wait.step,
        "module": wait.module,
        "sub_action_id": wait.sub_action_id,
    }


def _lines(picture: RunPicture) -> list[str]:
    return [
        *_details(picture.run, picture.used),
        *(f"{'waits for':<12}  {_wait_line(wait)}" for wait in picture.state.waiting_on),
        *(f"{'task':<12}  {task.id} {coloured(task.state)} {printable(task.actor)}" for task in picture.tasks),
        *(f"{'child':<12}  {run.id} {coloured(run.status)} {printable(run.project)}" for run in picture.children),
    ]


def _details(run: Run, used: UsageTotal) -> list[str]:
    lines = {
        "run": run.id,
        "owner": printable(run.owner_id),
        "project": printable(run.project),
        "status": coloured(run.status),
        "step": run.position.step and printable(run.position.step),
        "module": run.position.module and printable(run.position.module),
        "question": run.position.interaction_id and printable(run.position.interaction_id),
        "asked": run.asked_since and moment(run.asked_since),
        "branch": run.branch_id,
        "template": run.template_id,
        "version": run.version_id,
        "parent": run.parent_id,
        "events": str(run.event_count),
        "created": moment(run.created_at),
        "changed": moment(run.updated_at),
        "ended": run.completed_at and moment(run.completed_at),
        "cost": f"{used.cost} USD for {used.calls:,} calls",
        "tokens": f"{used.input_tokens:,} in, {used.output_tokens:,} out",
    }
    return [f"{name:<12}  {text}" for name, text in lines.items() if text]


def _wait_line(wait: Wait) -> str:
    until = f" until {moment(wait.until)}" if wait.until else ""
    label = f" {wait.label}" if wait.label else ""
    return printable(f"{wait.kind.value} {wait.id}{label} since {moment(wait.since)}{until}")
