"""The checks of commands on one task or on many: which tasks are meant, how many, and a question first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import click

from appdb.cli.selection import Selection
from appdb.database import Database
from appdb.models.task_filters import TaskFilter
from appdb.models.tasks import TaskState
from appdb.queue.task_queue import TaskQueue

COUNTED = 100

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
all_option = click.option("--all", "many", is_flag=True, help="Every task that fits the filters, in place of TASK_ID.")


def check_meaning(task_id: str | None, selection: Selection, *, many: bool, states: Collection[TaskState]) -> None:
    """Check that one task, or a filter that fits *states*, is clearly meant.

    Raises:
        UsageError: It is not; the message says how to say it.
    """
    if (task_id is None) != many:
        raise click.UsageError("name one TASK_ID, or give --all and filters")
    if many:
        selection.check(states)
    elif selection.everybody or selection.narrowed:
        raise click.UsageError("with TASK_ID give no filters; --owner ID checks whose it is")


async def selected(database: Database, selection: Selection, states: Collection[TaskState]) -> tuple[TaskFilter, int]:
    """Return the filter for tasks made until now, and how many fit it, counted no further than to one over a hundred.

    Args:
        database: An open database.
        selection: What the command line says.
        states: The states that are meant when none is said.
    """
    # Tasks that come while the user answers were not asked about.
    match = await selection.match(database, until_now=True)
    match = replace(match, states=match.states or frozenset(states))
    return match, len(await TaskQueue(database).find(match, limit=COUNTED + 1))


def confirm(verb: str, found: int, *, yes: bool) -> None:
    """Ask before many tasks are changed.

    Raises:
        ClickException: The answer is no, or there is no terminal to ask in.
    """
    if found <= 1 or yes:
        return
    many = f"more than {COUNTED}" if found > COUNTED else str(found)
    # Without a terminal click aborts: a script says --yes, or does nothing.
    try:
        click.confirm(f"{verb} {many} tasks?", abort=True, err=True)
    except click.Abort as exc:
        raise click.ClickException(f"nothing was done; answer y, or repeat with --yes to {verb} {many} tasks") from exc
