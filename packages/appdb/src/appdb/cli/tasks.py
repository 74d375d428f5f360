"""`appdb tasks`: the group of commands on tasks, and those of them that only read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from appdb.cli.cancel import cancel
from appdb.cli.event_text import error_text, event_line
from appdb.cli.output import (
    OutputFormat,
    coloured,
    compact,
    event_fields,
    json_line,
    moment,
    output_options,
    percent,
    printable,
    table,
    task_fields,
)
from appdb.cli.params import duration
from appdb.cli.retry import retry
from appdb.cli.selection import Selection, named_task, optional_owner_option, selection_options
from appdb.cli.submit import submit
from appdb.cli.target import Target, pass_target
from appdb.cli.watch import watch
from appdb.database import Database
from appdb.models.queues import QueueStats
from appdb.models.task_events import TaskEvent
from appdb.models.tasks import LABELS, Task, TaskState
from appdb.queue.task_queue import TaskQueue

MAX_PAGE = 1_000
LIST_HEAD = ("id", "state", "actor", "queue", "attempt", "progress", "owner", "created")
STATS_HEAD = ("queue", "paused", "scheduled", "queued", "processing", "completed", "failed", "cancelled", "oldest, s")
FINISHED = (TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED)


@click.group()
def tasks() -> None:
    """Submit tasks, look at them, and change what becomes of them."""


@tasks.command("list")
@selection_options
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=50, show_default=True, help="The most to print.")
@click.option("--before", metavar="ID", help="Go on behind this task, the last one of the page before.")
@output_options
@pass_target
def list_tasks(target: Target, selection: Selection, limit: int, before: str | None, output: OutputFormat) -> None:
    """List tasks, newest first."""
    selection.check()

    async def work(database: Database) -> list[Task]:
        match = await selection.match(database)
        return await TaskQueue(database).find(match, before=before, limit=limit)

    found = target.run(work)
    if output.as_json or output.quiet:
        for task in found:
            click.echo(task.id if output.quiet else json_line(task_fields(task)))
        return
    click.echo(table(LIST_HEAD, [_row(task) for task in found]))
    if not found:
        click.echo("no task is meant by that: check --owner, its id, and the other options", err=True)
    if len(found) == limit:
        click.echo(f"there may be more: repeat with --before {found[-1].id}", err=True)


def _row(task: Task) -> list[object]:
    attempts = f"{task.attempt}/{task.max_attempts}"
    created = moment(task.created_at)
    return [task.id, task.state, task.actor, task.queue, attempts, percent(task.progress), task.owner_id, created]


@tasks.command()
@click.argument("task_id")
@optional_owner_option
@click.option("--events", "with_events", is_flag=True, help="Print its log too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_target
def show(target: Target, task_id: str, owner: str | None, with_events: bool, as_json: bool) -> None:
    """Show a task: its payload, its attempts' errors, its result, its children."""

    async def work(database: Database) -> tuple[Task, list[Task], list[TaskEvent]]:
        queue = TaskQueue(database)
        # An operator needs no owner: who reaches the database may read all of it.
        task = await named_task(queue, task_id, owner)
        children = await queue.children(task_id, owner_id=task.owner_id)
        return task, children, await _log(queue, task_id) if with_events else []

    task, children, events = target.run(work)
    if as_json:
        fields = task_fields(task) | {"children": [task_fields(child) for child in children]}
        click.echo(json_line(fields | ({"events": [*map(event_fields, events)]} if with_events else {})))
        return
    click.echo("\n".join(_details(task)))
    for child in children:
        click.echo(f"child         {child.id} {coloured(child.state)} {printable(child.actor)}")
    for event in events:
        click.echo(event_line(event))


async def _log(queue: TaskQueue, task_id: str) -> list[TaskEvent]:
    events: list[TaskEvent] = []
    # Pages are bounded by bytes too, so only an empty one is the end.
    while found := await queue.events(task_id, after=events[-1].seq if events else -1):
        events += found
    return events


def _details(task: Task) -> list[str]:
    lines: dict[str, Any] = {
        "task": task.id,
        "owner": printable(task.owner_id),
        "actor": printable(f"{task.actor}@{task.actor_version} on queue {task.queue}, priority {task.priority}"),
        "state": coloured(task.state) + (" (waits for its children)" if task.waiting else ""),
        "attempt": f"{task.attempt} of {task.max_attempts}",
        "progress": task.progress and printable(f"{percent(task.progress)} {task.progress.message}"),
        "held by": task.lease and printable(f"{task.lease.worker_id} until {moment(task.lease.expires_at)}"),
        "created": moment(task.created_at),
        "due": moment(task.run_at),
        "started": task.started_at and moment(task.started_at),
        "finished": task.finished_at and moment(task.finished_at),
        "expires": task.expires_at and moment(task.expires_at),
        "unique key": task.unique_key and printable(task.unique_key),
        "limits": ", ".join(printable(limit.key) for limit in task.limits),
        "parent": task.parent_id,
        "replay of": task.replay_of,
        "follows": task.cause_id and printable(task.cause_id),
        "works for": ", ".join(f"{name} {printable(label)}" for name, label in _labels(task).items()),
        "payload": compact(task.payload),
        "result": None if task.result is None else compact(task.result),
    }
    shown = [f"{name:<12}  {text}" for name, text in lines.items() if text]
    errors = [
        f"attempt {error.attempt} at {moment(error.at)}: {error_text(error.model_dump())}" for error in task.errors
    ]
    return [*shown, *(f"{'error':<12}  {line}" for line in errors)]


def _labels(task: Task) -> dict[str, str]:
    return {name.removesuffix("_id"): label for name in LABELS if (label := getattr(task, name)) is not None}


@tasks.command()
@click.option("--window", type=duration, default="1h", show_default=True, help="How far back finished tasks count.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per queue and line.")
@pass_target
def stats(target: Target, window: timedelta, as_json: bool) -> None:
    """Count the tasks of each queue; oldest is how long the oldest queued one has been due."""
    found = target.run(lambda database: TaskQueue(database).stats(window=window))
    if as_json:
        for queue in found:
            click.echo(json_line(_stats_fields(queue)))
    else:
        click.echo(table(STATS_HEAD, [_stats_row(queue) for queue in found]))


def _stats_fields(queue: QueueStats) -> dict[str, Any]:
    return {
        "queue": queue.queue,
        "paused": queue.paused,
        "scheduled": queue.scheduled,
        "queued": queue.queued,
        "processing": queue.processing,
        "finished": {state.value: queue.finished.get(state, 0) for state in FINISHED},
        "oldest_queued_seconds": queue.oldest_queued_seconds,
    }


def _stats_row(queue: QueueStats) -> list[object]:
    oldest = queue.oldest_queued_seconds
    live = [queue.scheduled, queue.queued, queue.processing]
    finished = [queue.finished.get(state, 0) for state in FINISHED]
    return [queue.queue, "yes" if queue.paused else "no", *live, *finished, "-" if oldest is None else oldest]


for command in (submit, watch, cancel, retry):
    tasks.add_command(command)
