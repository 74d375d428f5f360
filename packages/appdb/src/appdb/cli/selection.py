"""The selection of tasks by filters, for commands on many."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import click

from appdb.cli.params import bundled, duration
from appdb.database import Database
from appdb.errors import NotFoundError
from appdb.models.task_filters import TaskFilter
from appdb.models.tasks import Task, TaskState
from appdb.queue.task_queue import TaskQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The filters of a command, as they were given."""

    owner: str | None
    everybody: bool
    state: tuple[str, ...]
    queue: str | None
    actor: str | None
    run: str | None
    module: str | None
    older_than: timedelta | None
    newer_than: timedelta | None

    def check(self, states: Collection[TaskState] = tuple(TaskState)) -> None:
        """Check that it is said whose tasks are meant, and that the command can be about the given *states*.

        Raises:
            UsageError: Neither or both of --owner and --everybody are given, a module without its run, or a state that
                does not fit.
        """
        # A filter that was forgotten must not mean all owners' tasks.
        if (self.owner is None) != self.everybody:
            raise click.UsageError("say whose tasks: --owner ID, or --everybody for all owners'")
        if self.module and not self.run:
            raise click.UsageError("a module counts within a run: give --run ID too")
        unfit = [state for state in self.state if state not in states]
        if unfit:
            raise click.UsageError(f"this cannot be done to {unfit[0]} tasks; choose from {', '.join(sorted(states))}")

    @property
    def narrowed(self) -> bool:
        """Whether anything but the owner is said."""
        return bool(self.state or self.queue or self.actor or self.run or self.older_than or self.newer_than)

    async def match(self, database: Database, *, until_now: bool = False) -> TaskFilter:
        """Return the filter, with ages counted back from the database's clock.

        Args:
            database: An open database.
            until_now: Leave out tasks that are made from now on, so that repeating comes to an end.
        """
        # An operator's laptop may be minutes off; stored times are the database's.
        now = await database.server_time()
        before = now if until_now else None
        return TaskFilter(
            owner_id=self.owner,
            states=frozenset(map(TaskState, self.state)),
            queue=self.queue,
            actor=self.actor,
            run_id=self.run,
            module=self.module,
            created_before=now - self.older_than if self.older_than is not None else before,
            created_after=now - self.newer_than if self.newer_than is not None else None,
        )


selection_options = bundled(
    Selection,
    "selection",
    click.option("--owner", metavar="ID", help="Whose tasks."),
    click.option("--everybody", is_flag=True, help="All owners' tasks."),
    click.option(
        "--state",
        multiple=True,
        type=click.Choice([state.value for state in TaskState]),
        help="Only this state; repeatable.",
    ),
    click.option("--queue", metavar="NAME", help="Only this queue."),
    click.option("--actor", metavar="NAME", help="Only this actor."),
    click.option("--run", metavar="ID", help="Only what works for this workflow run."),
    click.option("--module", metavar="NAME", help="Only what works for this module of the run."),
    click.option("--older-than", type=duration, help="Only tasks made longer ago than this, such as 2h."),
    click.option("--newer-than", type=duration, help="Only tasks made within this time."),
)
owner_option = click.option("--owner", required=True, metavar="ID", help="The user whose it is.")
optional_owner_option = click.option("--owner", metavar="ID", help="Only if it is this user's.")


async def named_task(queue: TaskQueue, task_id: str, owner: str | None) -> Task:
    """Return a task by its id alone, or only if it is the *owner*'s.

    Raises:
        NotFoundError: There is no such task, or it is another owner's.
    """
    # By `find`, since `get` asks for the owner, whom an operator may not know.
    for task in await queue.find(TaskFilter(owner_id=owner, task_ids=(task_id,)), limit=1):
        return task
    raise NotFoundError("task", task_id)
