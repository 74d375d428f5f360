"""`appdb runs events`: the log of a run, and what happens in it from now on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click

from appdb.cli.follower import POLL, hints_on, patiently
from appdb.cli.output import compact, json_line, moment, printable, run_event_fields
from appdb.cli.run_selection import named_run
from appdb.cli.selection import optional_owner_option
from appdb.cli.target import ExitCode, Target, UnansweredError, UnknownOutcomeError, leave, pass_target
from appdb.database import Database
from appdb.feed import ChangeFeed, run_topic
from appdb.models.events import EventFilter, RunEvent
from appdb.models.workflow_runs import Run, RunStatus
from appdb.repos.event import EventRepository

Show = Callable[[RunEvent], None]

PAGE = 500
OUTCOMES = {
    RunStatus.ERROR: ExitCode.FAILED,
    RunStatus.VALIDATION_FAILED: ExitCode.FAILED,
    RunStatus.CANCELLED: ExitCode.CANCELLED,
}


class RunFollower:
    """The follower of one run's log: of the line of history that counts, or of all branches.

    Args:
        database: An open database.
        run: The run.
        every_branch: Whether to read what was left behind by jumps too.
        after: The number of the last event that is known already; -1 for none.
    """

    def __init__(self, database: Database, run: Run, *, every_branch: bool, after: int) -> None:
        self._database = database
        self._run = run
        self._every_branch = every_branch
        self._seq = after
        self._events = EventRepository(database)

    async def read(self, show: Show) -> Run:
        """Give every event to *show*, in order, and return the run as it was before the last look."""
        while True:
            run = await patiently(self._get)
            found = await patiently(self._page)
            for event in found:
                self._seq = event.seq
                show(event)
            if not found:
                return run

    async def follow(self, show: Show) -> Run:
        """Give every event to *show*, those of the past first, until the run ends, and return it."""
        feed = ChangeFeed(self._database, events=False, runs=True)
        async with hints_on(run_topic(self._run.id), feed) as hints:
            while (run := await self.read(show)).position.ended is None:
                await hints.wait(POLL)
        return run

    async def _get(self) -> Run:
        return await named_run(self._database, self._run.id, self._run.owner_id)

    async def _page(self) -> list[RunEvent]:
        run_id, owner_id = self._run.id, self._run.owner_id
        if self._every_branch:
            return await self._events.log(run_id, owner_id=owner_id, after=self._seq, limit=PAGE)
        return await self._events.read(run_id, EventFilter(after=self._seq), owner_id=owner_id, limit=PAGE)


@click.command()
@click.argument("run_id")
@optional_owner_option
@click.option("--all", "every_branch", is_flag=True, help="Also what no longer counts: the events of all branches.")
@click.option("--after", type=click.IntRange(-1), default=-1, help="Start behind the event with this number.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until the run ends.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event and line.")
@pass_target
def events(
    target: Target, run_id: str, owner: str | None, every_branch: bool, after: int, follow: bool, as_json: bool
) -> None:
    """Show the events of a run that count, oldest first.

    Exit codes with --follow: 0 the run completed or reached its target, 1 it failed (or there is none), 3 it was
    cancelled, 4 the database did not answer for a minute, 130 interrupted. Following changes nothing; the run goes on
    without it.
    """
    show = partial(_show, as_json=as_json)

    async def work(database: Database) -> Run:
        run = await named_run(database, run_id, owner)
        reader = RunFollower(database, run, every_branch=every_branch, after=after)
        return await (reader.follow(show) if follow else reader.read(show))

    again = f"look again with `appdb runs events {run_id}`"
    try:
        run = target.run(work, interrupted=f"run {run_id} goes on; {again}")
    # A script must tell "failed" from "not known": the run goes on unwatched.
    except UnansweredError as exc:
        raise UnknownOutcomeError(f"what becomes of run {run_id} is not known: {exc.message}; {again}") from exc
    if follow:
        leave(OUTCOMES.get(run.status, ExitCode.DONE))


def _show(event: RunEvent, *, as_json: bool) -> None:
    click.echo(json_line(run_event_fields(event)) if as_json else _line(event))


def _line(event: RunEvent) -> str:
    where = "/".join(name for name in (event.step, event.module) if name)
    said = compact(dict(event.data)) if event.data else ""
    return f"{event.seq:>5}  {moment(event.created_at)}  {event.type.value:<22} {printable(where)} {said}".rstrip()
