"""The selection of runs by filters, and of one run by its id alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import click

from appdb.cli.params import bundled, duration
from appdb.database import Database
from appdb.errors import NotFoundError
from appdb.models.run_lists import RunFilter
from appdb.models.workflow_runs import Run, RunStatus
from appdb.repos.run_list import RunListRepository
from appdb.run_lock import RUN
from appdb.runs.stuck import STUCK_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSelection:
    """The filters of a list of runs, as they were given."""

    owner: str | None
    everybody: bool
    status: tuple[str, ...]
    project: str | None
    template: str | None
    since: timedelta | None
    waiting: bool
    stuck: bool
    unchanged_for: timedelta | None

    def check(self) -> None:
        """Check that it is said whose runs are meant, and that the filters go together.

        Raises:
            UsageError: Neither or both of --owner and --everybody are given, or two filters contradict each other.
        """
        # A filter that was forgotten must not mean all owners' runs.
        if (self.owner is None) != self.everybody:
            raise click.UsageError("say whose runs: --owner ID, or --everybody for all owners'")
        if self.waiting and (self.status or self.stuck):
            raise click.UsageError("--waiting is a status of its own; leave --status and --stuck out")
        if self.stuck and (self.status or self.project or self.template or self.since):
            raise click.UsageError("--stuck goes with --unchanged-for and whose runs alone; leave other filters out")
        if self.unchanged_for is not None and not self.stuck:
            raise click.UsageError("--unchanged-for goes with --stuck")

    async def find(self, database: Database, before: str | None, limit: int) -> list[Run]:
        """Return a page of the runs that are meant, last activity first; what waits or is stuck, the longest first."""
        lists = RunListRepository(database)
        if not self.stuck:
            # An operator's laptop may be minutes off; stored times are the database's.
            after = None if self.since is None else await database.server_time() - self.since
            return await lists.find_for_operators(
                self._filter(after), oldest_first=self.waiting, before=before, limit=limit
            )
        quiet = STUCK_AFTER if self.unchanged_for is None else self.unchanged_for
        if self.owner is None:
            return await lists.stuck_for_operators(unchanged_for=quiet, before=before, limit=limit)
        return await lists.stuck(owner_id=self.owner, unchanged_for=quiet, before=before, limit=limit)

    def _filter(self, updated_after: datetime | None) -> RunFilter:
        statuses = {RunStatus.AWAITING_INPUT} if self.waiting else set(map(RunStatus, self.status))
        return RunFilter(
            owner_id=self.owner,
            statuses=frozenset(statuses),
            project=self.project,
            template_id=self.template,
            updated_after=updated_after,
        )


run_selection_options = bundled(
    RunSelection,
    "selection",
    click.option("--owner", metavar="ID", help="Whose runs."),
    click.option("--everybody", is_flag=True, help="All owners' runs."),
    click.option(
        "--status",
        multiple=True,
        type=click.Choice([status.value for status in RunStatus]),
        help="Only this status; repeatable.",
    ),
    click.option("--project", metavar="NAME", help="Only this project."),
    click.option("--template", metavar="ID", help="Only runs of this workflow."),
    click.option("--since", type=duration, help="Only runs that have changed within this time, such as 2h."),
    click.option("--waiting", is_flag=True, help="Only runs that wait for their user, the longest wait first."),
    click.option("--stuck", is_flag=True, help="Only runs at work that nothing will move on, longest unchanged first."),
    click.option("--unchanged-for", type=duration, help="With --stuck: how long without a change; 60s if left out."),
)


async def named_run(database: Database, run_id: str, owner: str | None) -> Run:
    """Return a run by its id alone, or only if it is the *owner*'s.

    Raises:
        NotFoundError: There is no such run, or it is another owner's, or is being deleted.
    """
    # By the operators' list, since `get` asks for the owner, whom an operator may not know.
    for run in await RunListRepository(database).find_for_operators(RunFilter(owner_id=owner, run_id=run_id), limit=1):
        return run
    raise NotFoundError(RUN, run_id)
