"""`appdb tasks submit`: enqueues one task as its actor was announced, and waits for its outcome if asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import click
from pydantic import JsonValue

from appdb.cli.event_text import error_text
from appdb.cli.output import OutputFormat, compact, json_line, output_options, printable, task_fields
from appdb.cli.params import PayloadSource, bundled, duration, payload_options
from appdb.cli.selection import owner_option
from appdb.cli.target import ExitCode, Target, leave, pass_target
from appdb.cli.watch import OUTCOMES, Viewer, see_through
from appdb.database import Database
from appdb.errors import DatabaseUnavailableError
from appdb.models.actors import RegisteredActor
from appdb.models.tasks import NewTask, Task, TaskState
from appdb.queue.lease import handler
from appdb.queue.task_queue import TaskQueue
from appdb.repos.registry import RegistryRepository
from appdb.utils import uuid7_str

INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """The options of a task, beside its payload."""

    queue: str | None
    priority: int
    delay: timedelta
    max_attempts: int | None
    timeout: timedelta | None
    unique_key: str | None
    expires_in: timedelta | None

    def task(self, actor: RegisteredActor, payload: dict[str, JsonValue], *, owner: str, task_id: str) -> NewTask:
        """Return the task: what is not said is as the actor's announcement has it."""
        as_announced = actor.new_task(
            payload, owner_id=owner, queue=self.queue, priority=self.priority, unique_key=self.unique_key
        )
        return replace(
            as_announced,
            task_id=task_id,
            delay=self.delay,
            max_attempts=self.max_attempts or as_announced.max_attempts,
            timeout=self.timeout or as_announced.timeout,
            expires_in=self.expires_in,
        )


task_options = bundled(
    TaskOptions,
    "options",
    click.option("--queue", metavar="NAME", help="Default: the actor's own."),
    click.option("--priority", type=click.IntRange(-INT32, INT32), default=0, help="Higher runs first."),
    click.option("--delay", type=duration, default="0", help="Wait this long before the task is due, such as 10m."),
    click.option("--max-attempts", type=click.IntRange(1, INT32), help="Default: the actor's own."),
    click.option("--timeout", type=duration, help="How long one attempt may run. Default: the actor's own."),
    click.option("--unique-key", metavar="KEY", help="Submitting again with the same key gives the first task."),
    click.option("--expires-in", type=duration, help="Fail if no worker takes the task within this time."),
)


@click.command()
@click.argument("actor")
@payload_options
@owner_option
@task_options
@click.option("--wait", is_flag=True, help="Follow the task to its end; the exit code is the outcome.")
@output_options
@pass_target
def submit(
    target: Target,
    actor: str,
    source: PayloadSource,
    owner: str,
    options: TaskOptions,
    *,
    wait: bool,
    output: OutputFormat,
) -> None:
    """Submit a task for ACTOR, which a worker must have announced. Without a payload it is {}.

    With --wait, events go to standard error and the result, as JSON, to standard output; the exit code is 0 when the
    task completed, 1 when it failed, 3 when it was cancelled, 4 when the database stopped answering for a minute, and
    130 when interrupted: the task goes on then.
    """
    payload = source.read() or {}
    # Made here, so that a command that got no answer can still name its task.
    task_id = uuid7_str("tq_")
    doubt = f"whether task {task_id} was stored is not known: ask `appdb tasks show {task_id}`"

    async def store(database: Database) -> Task:
        announced = await _announced(database, actor)
        new = options.task(announced, payload, owner=owner, task_id=task_id)
        if not output.quiet:
            # A note and no refusal: the task is durable, and a worker may start later.
            await _warn_of_nobody(database, new)
        try:
            return await TaskQueue(database).enqueue(new)
        except DatabaseUnavailableError as exc:
            raise click.ClickException(f"{exc}; {doubt}") from exc

    task = target.run(store, interrupted=doubt)
    _tell_stored(task, output, wait=wait)
    if wait:
        # On stderr, since stdout holds the result alone, for a pipe.
        viewer = None if output.as_json or output.quiet else Viewer(err=True)
        _tell_outcome(see_through(target, task.id, owner, viewer), output)


async def _announced(database: Database, name: str) -> RegisteredActor:
    actors = await RegistryRepository(database).actors()
    for actor in actors:
        if actor.id == name:
            return actor
    raise click.ClickException(
        f"no worker has announced actor {printable(name)!r}; start one that has it, or choose from: {_names(actors)}"
    )


def _names(actors: Sequence[RegisteredActor]) -> str:
    return ", ".join(printable(actor.id) for actor in actors) or "(none is known)"


async def _warn_of_nobody(database: Database, new: NewTask) -> None:
    workers = await RegistryRepository(database).workers()
    wanted = handler(new.actor, new.actor_version)
    if not any(new.queue in worker.queues and wanted in worker.actors for worker in workers):
        nobody = f"no worker for actor {wanted!r} on queue {new.queue!r} is alive now"
        click.echo(f"note: {nobody}; the task waits for one", err=True)


def _tell_stored(task: Task, output: OutputFormat, *, wait: bool) -> None:
    if output.quiet:
        click.echo(task.id)
    elif output.as_json and not wait:
        click.echo(json_line(task_fields(task)))
    elif not output.as_json:
        click.echo(f"task {task.id} is {task.state} on queue {printable(task.queue)!r}", err=wait)


def _tell_outcome(task: Task, output: OutputFormat) -> None:
    if output.as_json:
        click.echo(json_line(task_fields(task)))
    elif not output.quiet:
        click.echo(f"task {task.id} {_outcome(task)}", err=True)
        if task.state is TaskState.COMPLETED:
            click.echo(compact(task.result))
    leave(OUTCOMES.get(task.state, ExitCode.UNKNOWN))


def _outcome(task: Task) -> str:
    if task.error is None:
        return f"is {task.state}"
    return (
        f"is {task.state} after {task.attempt} of {task.max_attempts} attempts: {error_text(task.error.model_dump())}"
    )
