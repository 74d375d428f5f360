"""`appdb runs`: the group of commands on runs of workflows, and the list of runs."""

from __future__ import annotations

import click

from appdb.cli.output import OutputFormat, json_line, moment, output_options, run_fields, table
from appdb.cli.run_changes import cancel, delete, recover
from appdb.cli.run_events import events
from appdb.cli.run_selection import RunSelection, run_selection_options
from appdb.cli.run_show import show
from appdb.cli.target import Target, pass_target
from appdb.models.workflow_runs import Run

MAX_PAGE = 1_000
LIST_HEAD = ("id", "status", "project", "step", "module", "asked", "owner", "changed")


@click.group()
def runs() -> None:
    """Look at runs of workflows, mend them, and change what becomes of them."""


@runs.command("list")
@run_selection_options
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=50, show_default=True, help="The most to print.")
@click.option("--before", metavar="PLACE", help="Go on behind this place, that of the last run of the page before.")
@output_options
@pass_target
def list_runs(target: Target, selection: RunSelection, limit: int, before: str | None, output: OutputFormat) -> None:
    """List runs, last activity first; those that do sub-actions of others are shown by `show`."""
    selection.check()
    found = target.run(lambda database: selection.find(database, before, limit))
    if output.as_json or output.quiet:
        for run in found:
            click.echo(run.id if output.quiet else json_line(run_fields(run)))
        return
    click.echo(table(LIST_HEAD, [_row(run) for run in found]))
    if not found:
        click.echo("no run is meant by that: check --owner, its id, and the other options", err=True)
    if len(found) == limit:
        click.echo(f"there may be more: repeat with --before {found[-1].place}", err=True)


def _row(run: Run) -> list[object]:
    at = [run.position.step or "-", run.position.module or "-"]
    return [run.id, run.status, run.project, *at, moment(run.asked_since), run.owner_id, moment(run.updated_at)]


for command in (show, events, recover, cancel, delete):
    runs.add_command(command)
