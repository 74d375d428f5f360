"""`appdb migrate`: brings the database to this release's contract, undoes that, and shows the status."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, TypeVar

import click

from appdb.cli.output import json_line, moment, table
from appdb.cli.params import bundled, duration
from appdb.cli.target import ExitCode, Target, leave, pass_target, run
from appdb.database import Database
from appdb.migrations._module import Migration
from appdb.migrations.options import BATCH, LOCK_LEASE, BackFillPace, RunOptions, Waiting
from appdb.migrations.records import Effect, LockHolder, StepProgress
from appdb.migrations.status import UNSETTLED, MigrationStatus, Overview

T = TypeVar("T")

INTERRUPTED = "interrupted; run `appdb migrate` to go on where it stopped"
REPORT_SECONDS = 2
HEAD = ("migration", "state", "applied", "what it does")


class UpByDefault(click.Group):
    """The group that takes `appdb migrate` alone, also with options, for `appdb migrate up`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Name the command where none is named."""
        # `appdb migrate` was the whole command before the others came, and scripts call it so.
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["up", *args]
        return super().parse_args(ctx, args)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateOptions:
    """The options of a migration run, as the command line gives them.

    Args:
        wait: How long to wait for another host that migrates.
        lock_lease: How long the lock lasts without a sign of life.
        batch: Documents at a time.
        pause: Between two batches.
        dry_run: Only say what would be done.
    """

    wait: timedelta
    lock_lease: timedelta
    batch: int
    pause: timedelta
    dry_run: bool

    @property
    def run_options(self) -> RunOptions:
        """The same for ``Database.migrate``."""
        return RunOptions(
            waiting=Waiting(longest=self.wait, told=_tell_holder, lease=self.lock_lease),
            pace=BackFillPace(batch=self.batch, pause=self.pause),
            report=Reporter(),
        )


class Reporter:
    """The reporter of progress: prints a step's beginning and end, and between them at most every other second."""

    def __init__(self) -> None:
        self._last: tuple[str, str] | None = None
        self._told = 0.0

    def __call__(self, migration_id: str, step: StepProgress) -> None:
        """Print *step* if it is time to."""
        now, which = time.monotonic(), (migration_id, step.name)
        # Back-fills report each batch, which may be a hundred a second.
        if step.finished or which != self._last or now - self._told >= REPORT_SECONDS:
            self._last, self._told = which, now
            click.echo(f"{migration_id}: {step}", err=True)


migrate_options = bundled(
    MigrateOptions,
    "options",
    click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing."),
    click.option("--wait", type=duration, default="90s", show_default=True, help="For another host that migrates."),
    click.option(
        "--lock-lease",
        type=duration,
        default=f"{LOCK_LEASE.seconds}s",
        show_default=True,
        help="How long a killed run keeps others out.",
    ),
    click.option(
        "--batch", type=click.IntRange(1, 100_000), default=BATCH, show_default=True, help="Documents at a time."
    ),
    click.option("--pause", type=duration, default="0s", show_default=True, help="After each batch, to spare others."),
)


@click.group(cls=UpByDefault)
def migrate() -> None:
    """Bring the database to this release's contract; `appdb migrate` alone is `appdb migrate up`.

    Hosts of the releases that the contract allows go on working meanwhile. Repeating it is safe: a run that was killed
    or interrupted is gone on with.
    """


@migrate.command()
@migrate_options
@pass_target
def up(target: Target, options: MigrateOptions) -> None:
    """Run the pending migrations; safe to repeat."""

    async def work(database: Database) -> None:
        if options.dry_run:
            _print_plan(await database.plan_migrations(), "run")
            return
        done = await database.migrate(options.run_options)
        for migration in done:
            click.echo(f"{migration.id}: {migration.description}")
        # A newer release may have migrated further than this one can follow.
        await database.check_contract()
        click.echo(f"{len(done)} migrations run; database {database.name!r} is up to date")

    on_server(target, work)


@migrate.command()
@click.option("--to", "last", required=True, help="The number of the last migration that stays, such as 0002.")
@migrate_options
@pass_target
def down(target: Target, last: str, options: MigrateOptions) -> None:
    """Undo the newest migrations; stop the hosts that need them first."""
    to = _number(last)

    async def work(database: Database) -> None:
        if options.dry_run:
            _print_plan(await database.plan_migrations(down_to=to), "undone")
            return
        done = await database.migrate_down(to=to, options=options.run_options)
        for migration in done:
            click.echo(f"{migration.id}: undone")
        click.echo(f"{len(done)} migrations undone in database {database.name!r}")

    on_server(target, work)


@migrate.command()
@migrate_options
@pass_target
def indexes(target: Target, options: MigrateOptions) -> None:
    """Create missing indexes, and build those again that differ, also by name alone; extra ones stay."""

    async def work(database: Database) -> None:
        if options.dry_run:
            wrong = [index for index in await database.index_differences() if index.problem != "extra"]
        else:
            wrong = await database.mend_indexes(options.run_options)
        for index in wrong:
            click.echo(f"{index.collection}.{index.name}: {'is' if options.dry_run else 'was'} {index.problem}")
        click.echo(f"{len(wrong)} indexes {'to mend' if options.dry_run else 'mended'} in database {database.name!r}")

    on_server(target, work)


@migrate.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_target
def status(target: Target, as_json: bool) -> None:
    """Say which migrations the database has, which one is under way, and how far it is."""

    async def work(database: Database) -> None:
        found = await database.migration_overview()
        click.echo(json_line(overview_fields(found)) if as_json else _overview_text(found))

    on_server(target, work)


@migrate.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_target
def validate(target: Target, as_json: bool) -> None:
    """Check that what ran here is what this release ships, in order and whole; exit code 1 when not."""

    async def work(database: Database) -> list[str]:
        return (await database.migration_overview()).problems()

    problems = on_server(target, work)
    if as_json:
        click.echo(json_line({"ok": not problems, "problems": problems}))
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(problems)} problems" if problems else "the applied migrations are those of this release")
    leave(ExitCode.FAILED if problems else ExitCode.DONE)


def on_server(target: Target, work: Callable[[Database], Awaitable[T]]) -> T:
    """Return what *work* gives on a database that is not opened: it may not fit this release, and work takes its time.

    Args:
        target: The database that the command line names.
        work: Gets it, without a limit of time, on a server that can hold the promises.
    """

    async def checked() -> T:
        database = target(operation_timeout=None)
        try:
            await database.check_server()
            return await work(database)
        finally:
            await database.close()

    return run(checked, interrupted=INTERRUPTED)


def overview_fields(found: Overview) -> dict[str, Any]:
    """Return how a database stands, for programs."""
    return {
        "contract": None if found.contract is None else asdict(found.contract),
        "lock": None if found.lock is None else _plain(asdict(found.lock)),
        "running": None if found.running is None else _plain(asdict(found.running)),
        "migrations": [_plain(asdict(migration)) for migration in found.migrations],
        "problems": found.problems(),
    }


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in fields.items()}


def _overview_text(found: Overview) -> str:
    contract = found.contract
    spoken = "none yet" if contract is None else f"{contract.newest}; hosts from contract {contract.oldest} on may work"
    parts = [table(HEAD, [_row(row) for row in found.migrations]), f"contract: {spoken}"]
    if found.lock is not None:
        held = "held" if found.lock.alive else "left"
        parts.append(f"lock: {held} by {found.lock}; it ends at {moment(found.lock.expires_at)} unless renewed")
    if found.running is not None and found.of(*UNSETTLED):
        began, told = moment(found.running.started_at), moment(found.running.updated_at)
        parts.append(f"under way: {found.running.migration_id} {found.running.direction} since {began}, at {told}:")
        parts += [f"  {step}{', finished' if step.finished else ''}" for step in found.running.steps]
    return "\n".join([*parts, *found.problems()])


def _row(migration: MigrationStatus) -> tuple[str, str, str, str]:
    return migration.id, migration.state.value, moment(migration.applied_at), migration.description


def _print_plan(plans: Sequence[tuple[Migration, list[Effect]]], verb: str) -> None:
    for migration, effects in plans:
        click.echo(f"{migration.id} would be {verb}: {migration.description}")
        for effect in effects:
            counted = "" if effect.count is None else f": {effect.count:,}"
            click.echo(f"  {effect.action} {effect.target}{counted}")
    click.echo(f"{len(plans)} migrations would be {verb}; nothing was changed")


def _number(text: str) -> int:
    found = re.fullmatch(r"m?(\d{1,4})(_\w+)?", text, re.ASCII)
    if found is None:
        raise click.BadParameter(f"{text!r} is no migration's number; write one such as 0002", param_hint="--to")
    return int(found[1])


def _tell_holder(other: LockHolder) -> None:
    click.echo(f"waiting for another host that is migrating: {other}", err=True)
