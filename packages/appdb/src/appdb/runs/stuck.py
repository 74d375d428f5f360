"""Stuck runs: runs at work that nothing will move on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from appdb._driver import RawDocument
from appdb._queries import run_lists as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.bounds import Pause, accept, at_most
from appdb.models.list_places import parsed_place
from appdb.models.ongoing import WaitKind
from appdb.models.workflow_runs import Run
from appdb.reading import first_readable
from appdb.runs.reader import RunReader

STUCK_AFTER = timedelta(seconds=60)
"""Longer than a lease and an election together, after which somebody has moved on what can be moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietRun:
    """A run without a live task, and the runs under way below it.

    Args:
        run: The run.
        works: The ids of the run and of those below it.
    """

    run: Run
    works: tuple[str, ...]

    @classmethod
    def of(cls, row: RawDocument) -> Self:
        """Return what a row of the query says."""
        return cls(run=Run.from_document(row), works=tuple(row["works"]))


class StuckRuns:
    """Finds stuck runs, for ``RunListRepository``."""

    def __init__(self, connection: Connection) -> None:
        self._runs = connection.collection(collections.WORKFLOW_RUNS)
        self._reader = RunReader(connection)

    async def page(self, owner_id: str | None, unchanged_for: timedelta, before: str | None, limit: int) -> list[Run]:
        """Return runs that nothing will move on, longest unchanged first; ``None`` for everybody's."""
        accept(Pause, unchanged_for, "unchanged_for")
        place = None if before is None else parsed_place(before, "before")
        most, found = at_most(limit), list[Run]()
        while len(found) < most:
            quiet = await self._quiet(owner_id, unchanged_for, place, most)
            found += [one.run for one in quiet if not await self._awaits_message(one)]
            if len(quiet) < most:
                break
            place = parsed_place(quiet[-1].run.place, "place")
        return found[:most]

    async def _quiet(
        self, owner_id: str | None, unchanged_for: timedelta, place: tuple[datetime, str] | None, limit: int
    ) -> list[QuietRun]:
        async def look(most: int) -> Sequence[RawDocument]:
            found: Sequence[RawDocument] = await self._runs.aggregate(
                queries.stuck(owner_id, unchanged_for, place, most)
            ).to_list(None)
            return found

        return await first_readable(QuietRun.of, look, limit)

    async def _awaits_message(self, quiet: QuietRun) -> bool:
        # What comes from outside leaves no document behind while it is waited for: the events alone tell.
        for run_id in quiet.works:
            try:
                _, state = await self._reader.current_state(run_id, quiet.run.owner_id, None)
            except (ConflictError, NotFoundError):
                # Nothing moves on a run with a broken log, and one that is gone moves on nobody.
                continue
            if any(wait.kind is WaitKind.SIGNAL for wait in state.waiting_on):
                return True
        return False
