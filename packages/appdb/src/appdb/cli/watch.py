"""`appdb tasks watch`, also for `submit --wait`: shows a task live, and exits with its outcome's code."""

from __future__ import annotations

import click

from appdb.cli.event_text import event_line
from appdb.cli.follower import Follower
from appdb.cli.output import event_fields, json_line
from appdb.cli.progress import ProgressBar, has_terminal
from appdb.cli.selection import optional_owner_option
from appdb.cli.target import ExitCode, Target, UnansweredError, UnknownOutcomeError, leave, pass_target
from appdb.database import Database
from appdb.events import TaskEventType
from appdb.models.task_events import TaskEvent
from appdb.models.tasks import Progress, Task, TaskState

OUTCOMES = {
    TaskState.COMPLETED: ExitCode.DONE,
    TaskState.FAILED: ExitCode.FAILED,
    TaskState.CANCELLED: ExitCode.CANCELLED,
}

WITHIN_PROGRESS = (TaskEventType.CHUNK, TaskEventType.CONTENT)
"""After any other event the progress shown before is no longer true."""


class Viewer:
    """The viewer of events: prints each as a line, and draws progress as a bar where there is a terminal.

    Args:
        as_json: One JSON object per event, and no bar.
        err: Whether lines go to standard error, because something else is the output.
    """

    def __init__(self, *, as_json: bool = False, err: bool = False) -> None:
        self._as_json = as_json
        self._err = err
        self._bar = ProgressBar(drawn=has_terminal() and not as_json)

    def show(self, event: TaskEvent) -> None:
        """Show one event."""
        if self._as_json:
            click.echo(json_line(event_fields(event)), err=self._err)
        elif self._bar.drawn and event.type is TaskEventType.PROGRESS:
            self._bar.show(Progress.model_validate(event.data))
        else:
            # Another attempt starts at nothing, and its bar comes with its first progress.
            if event.type not in WITHIN_PROGRESS:
                self._bar.close()
            self._bar.print(event_line(event), err=self._err)

    def close(self) -> None:
        """Take away what is drawn."""
        self._bar.close()


def see_through(target: Target, task_id: str, owner: str | None, viewer: Viewer | None, *, after: int = -1) -> Task:
    """Follow a task to its end and return it.

    Args:
        target: The database.
        task_id: The task.
        owner: Whose task it has to be; ``None`` for anybody's.
        viewer: Shows events, if anybody looks.
        after: The number of the last event that is known already.

    Raises:
        UnknownOutcomeError: The database stopped answering.
        ClickException: The owner has no such task.
        Exit: The user stopped looking; the task goes on.
    """
    again = f"look again with `appdb tasks watch {task_id}`"

    async def work(database: Database) -> Task:
        follower = Follower(database, task_id, owner=owner, after=after)
        try:
            return await follower.follow(viewer.show if viewer else _ignore)
        finally:
            if viewer:
                viewer.close()

    try:
        return target.run(work, interrupted=f"task {task_id} goes on; {again}")
    # A script must tell "failed" from "not known": the task goes on unwatched.
    except UnansweredError as exc:
        raise UnknownOutcomeError(f"how task {task_id} ends is not known: {exc.message}; {again}") from exc


def _ignore(_event: TaskEvent) -> None:
    """Show nothing."""


@click.command()
@click.argument("task_id")
@optional_owner_option
@click.option("--after", type=click.IntRange(-1), default=-1, help="Start behind the event with this number.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event and line.")
@pass_target
def watch(target: Target, task_id: str, owner: str | None, after: int, as_json: bool) -> None:
    """Show what has happened to a task, and what happens, until it ends.

    Exit codes: 0 the task completed, 1 it failed (or there is none), 3 it was cancelled, 4 the database did
    not answer for a minute, 130 interrupted. Watching changes nothing; the task goes on without it.
    """
    task = see_through(target, task_id, owner, Viewer(as_json=as_json), after=after)
    leave(OUTCOMES[task.state])
