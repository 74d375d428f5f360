"""`appdb tasks cancel`: cancels one task, or all that fit a filter."""

from __future__ import annotations

import click

from appdb.cli.one_or_many import all_option, check_meaning, confirm, selected, yes_option
from appdb.cli.output import OutputFormat, json_line, output_options, task_fields
from appdb.cli.selection import Selection, named_task, selection_options
from appdb.cli.target import Target, pass_target
from appdb.database import Database
from appdb.models.task_filters import TaskFilter
from appdb.models.tasks import LIVE_STATES, Task
from appdb.queue.task_queue import TaskQueue


@click.command()
@click.argument("task_id", required=False)
@all_option
@selection_options
@yes_option
@output_options
@pass_target
def cancel(
    target: Target, task_id: str | None, many: bool, selection: Selection, yes: bool, output: OutputFormat
) -> None:
    """Cancel TASK_ID, or --all that fit: at once and for good, with the tasks that they spawned."""
    check_meaning(task_id, selection, many=many, states=LIVE_STATES)
    if task_id is not None:
        _cancel_one(target, task_id, selection.owner, output)
        return
    match, found = target.run(lambda database: selected(database, selection, LIVE_STATES))
    confirm("cancel", found, yes=yes)
    cancelled = target.run(lambda database: _cancel_all(database, match), interrupted="interrupted; repeat to go on")
    if output.as_json:
        click.echo(json_line({"cancelled": cancelled}))
    elif not output.quiet:
        click.echo(f"{cancelled} tasks are cancelled")


def _cancel_one(target: Target, task_id: str, owner: str | None, output: OutputFormat) -> None:
    async def work(database: Database) -> Task:
        queue = TaskQueue(database)
        found = await named_task(queue, task_id, owner)
        return await queue.cancel(task_id, owner_id=found.owner_id)

    task = target.run(work)
    if output.as_json:
        click.echo(json_line(task_fields(task)))
    else:
        click.echo(task.id if output.quiet else f"task {task.id} is cancelled")


async def _cancel_all(database: Database, match: TaskFilter) -> int:
    queue, total = TaskQueue(database), 0
    # One call cancels a bounded number, and what follows their ends may fit too; it counts 0 once none is left.
    while cancelled := (await queue.cancel_many(match)).count:
        total += cancelled
    return total
