"""`appdb tasks retry`: runs a waiting retry now, and a failed or cancelled task again as a new one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import click
from pydantic import JsonValue

from appdb.cli.one_or_many import all_option, check_meaning, confirm, selected, yes_option
from appdb.cli.output import OutputFormat, json_line, output_options, task_fields
from appdb.cli.params import PayloadSource, bundled, payload_options
from appdb.cli.selection import Selection, named_task, selection_options
from appdb.cli.target import Target, pass_target
from appdb.database import Database
from appdb.errors import DatabaseUnavailableError
from appdb.models.tasks import FINAL_STATES, Task, TaskState
from appdb.queue.task_queue import TaskQueue
from appdb.utils import uuid7_str

T = TypeVar("T")

REPLAYED_STATES = frozenset({TaskState.FAILED, TaskState.CANCELLED})
MOST_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryGuard:
    """The options that guard against a second or an unwanted repetition.

    Args:
        key: Makes a repeated command give the same new tasks.
        yes: Do not ask.
    """

    key: str | None
    yes: bool


guard_options = bundled(
    RetryGuard,
    "guard",
    click.option("--key", help="The same key gives the same new tasks, so that a repeated command makes no more."),
    yes_option,
)


@click.command()
@click.argument("task_id", required=False)
@all_option
@selection_options
@payload_options
@guard_options
@output_options
@pass_target
def retry(
    target: Target,
    task_id: str | None,
    many: bool,
    selection: Selection,
    source: PayloadSource,
    guard: RetryGuard,
    output: OutputFormat,
) -> None:
    """Run TASK_ID again, or --all that fit: failed and cancelled ones, unless --state says else.

    A task that waits for its next attempt is due now. A final one stays as it is, and a new task repeats it: with the
    same payload, or with the one given, which a completed task needs.
    """
    check_meaning(task_id, selection, many=many, states=FINAL_STATES)
    # Made here, so that a command without an answer can be repeated with it.
    payload, key = source.read(), guard.key or uuid7_str("retry_")
    if task_id is not None:
        _tell(_retry_one(target, task_id, selection.owner, payload, key), output)
        return
    if payload is not None:
        raise click.UsageError("--payload is for one TASK_ID")
    match, found = target.run(lambda database: selected(database, selection, REPLAYED_STATES))
    confirm("repeat", found, yes=guard.yes)
    made = _settled(target, key, lambda database: TaskQueue(database).replay_many(match, key=key, limit=MOST_AT_ONCE))
    _tell_many(made, key, output)


def _retry_one(target: Target, task_id: str, owner: str | None, payload: dict[str, JsonValue] | None, key: str) -> Task:
    async def work(database: Database) -> Task:
        queue = TaskQueue(database)
        task = await named_task(queue, task_id, owner)
        # A task that waits for its next attempt has attempts left: no new task is needed.
        if payload is None and task.state not in REPLAYED_STATES:
            return await queue.retry(task_id, owner_id=task.owner_id)
        return await queue.replay(task_id, owner_id=task.owner_id, payload=payload, key=key)

    return _settled(target, key, work)


def _settled(target: Target, key: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Return what *work* gives; when its outcome is not known, say how to repeat it."""
    doubt = f"what was stored is not known; repeat with --key {key}, which makes nothing twice"

    async def settled(database: Database) -> T:
        try:
            return await work(database)
        except DatabaseUnavailableError as exc:
            raise click.ClickException(f"{exc}; {doubt}") from exc

    return target.run(settled, interrupted=doubt)


def _tell(task: Task, output: OutputFormat) -> None:
    if output.as_json:
        click.echo(json_line(task_fields(task)))
    elif output.quiet:
        click.echo(task.id)
    else:
        click.echo(f"task {task.id} is {task.state}" + (f"; it repeats {task.replay_of}" if task.replay_of else ""))


def _tell_many(made: list[str], key: str, output: OutputFormat) -> None:
    for task_id in made:
        click.echo(json_line({"id": task_id}) if output.as_json else task_id)
    if output.quiet or output.as_json:
        return
    click.echo(f"{len(made)} tasks are repeated, with --key {key}", err=True)
    # The same key gives the same tasks again, so the rest needs filters of its own.
    if len(made) == MOST_AT_ONCE:
        click.echo(f"{MOST_AT_ONCE:,} is the most at once: repeat with narrower filters for the rest", err=True)
