"""`appdb runs recover|cancel|delete`: mends, cancels and deletes one run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from appdb.cli.one_or_many import yes_option
from appdb.cli.output import OutputFormat, json_line, output_options, printable, run_fields
from appdb.cli.run_selection import named_run
from appdb.cli.selection import optional_owner_option
from appdb.cli.target import Target, pass_target
from appdb.database import Database
from appdb.models.recovery import Recovery
from appdb.models.workflow_runs import Run
from appdb.repos.workflow import WorkflowRepository


@click.command()
@click.argument("run_id")
@optional_owner_option
@click.option("--dry-run", is_flag=True, help="Only say what disagrees, and what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_target
def recover(target: Target, run_id: str, owner: str | None, dry_run: bool, as_json: bool) -> None:
    """Compare a run's status and position with its events, and let the events win; a healthy run is left alone."""

    async def work(database: Database) -> Recovery:
        run = await named_run(database, run_id, owner)
        return await database.recover_run(run_id, owner_id=run.owner_id, dry_run=dry_run)

    found = target.run(work, interrupted="interrupted; repeat to be sure, which mends nothing twice")
    click.echo(json_line(asdict(found)) if as_json else _told(found))


def _told(found: Recovery) -> str:
    if not found.disagreements:
        return f"run {found.run_id} is {found.status}, as its events say; nothing to mend"
    wrong = ", ".join(found.disagreements)
    did = "is mended" if found.applied else "would be mended"
    how = "" if found.cutoff_seq is None else f", on a new branch behind event {found.cutoff_seq}"
    branch = "" if found.new_branch_id is None else f" ({found.new_branch_id})"
    return f"run {found.run_id} {did}: {wrong}; {found.cached_status} becomes {found.status}{how}{branch}"


@click.command()
@click.argument("run_id")
@optional_owner_option
@output_options
@pass_target
def cancel(target: Target, run_id: str, owner: str | None, output: OutputFormat) -> None:
    """Cancel a run: at once and for good, with its live tasks and the child runs that have not ended."""

    async def work(database: Database) -> Run:
        run = await named_run(database, run_id, owner)
        return await WorkflowRepository(database).cancel(run_id, owner_id=run.owner_id)

    run = target.run(work, interrupted="interrupted; repeat to go on")
    _tell(run_fields(run), f"run {run.id} is cancelled", output)


@click.command()
@click.argument("run_id")
@optional_owner_option
@yes_option
@output_options
@pass_target
def delete(target: Target, run_id: str, owner: str | None, yes: bool, output: OutputFormat) -> None:
    """Delete a run for good, with its events, files, content and child runs; what its calls cost is kept."""
    run = target.run(lambda database: named_run(database, run_id, owner))
    _confirm(run, yes=yes)
    target.run(
        lambda database: WorkflowRepository(database).delete(run.id, owner_id=run.owner_id),
        interrupted=f"interrupted; run {run.id} is gone for everybody, and the rest of it is deleted by the next sweep",
    )
    _tell({"id": run.id, "deleted": True}, f"run {run.id} is deleted", output)


def _confirm(run: Run, *, yes: bool) -> None:
    if yes:
        return
    # Without a terminal click aborts: a script says --yes, or does nothing.
    try:
        click.confirm(f"delete run {run.id} of project {printable(run.project)} for good?", abort=True, err=True)
    except click.Abort as exc:
        raise click.ClickException(f"nothing was done; answer y, or repeat with --yes to delete run {run.id}") from exc


def _tell(fields: dict[str, Any], text: str, output: OutputFormat) -> None:
    if output.as_json:
        click.echo(json_line(fields))
    else:
        click.echo(fields["id"] if output.quiet else text)
