"""Run overview: lists over runs by last activity."""

from __future__ import annotations

from collections.abc import Collection

from appdb._driver import Session
from appdb._queries import run_lists as queries
from appdb._queries.types import Filter, Sort
from appdb._schema import collections
from appdb.connection import Connection
from appdb.models.list_places import parsed_place
from appdb.models.run_lists import RunFilter
from appdb.models.workflow_runs import Run, RunStatus
from appdb.reading import page_of


class RunOverview:
    """Lists runs by last activity, for ``RunListRepository``."""

    def __init__(self, connection: Connection) -> None:
        self._runs = connection.collection(collections.WORKFLOW_RUNS)

    async def by_activity(
        self, owner_id: str, statuses: Collection[RunStatus], before: str | None, limit: int, session: Session | None
    ) -> list[Run]:
        """Return the owner's runs, last activity first."""
        match = queries.by_activity(owner_id, statuses)
        return await self._page(match, queries.LATEST_FIRST, before, limit, session)

    async def of_everybody(self, wanted: RunFilter, before: str | None, limit: int, *, oldest_first: bool) -> list[Run]:
        """Return the runs that an operator means, last activity first, or last."""
        sort = queries.LONGEST_UNCHANGED_FIRST if oldest_first else queries.LATEST_FIRST
        return await self._page(queries.of_everybody(wanted), sort, before, limit, None)

    async def asking(
        self,
        owner_id: str,
        below: str | None,
        before: str | None,
        limit: int,
        session: Session | None,
        *,
        newest_first: bool,
    ) -> list[Run]:
        """Return the owner's runs that ask something, also those that do sub-actions, or those below one run alone."""
        sort = queries.LATEST_FIRST if newest_first else queries.LONGEST_UNCHANGED_FIRST
        return await self._page(queries.asking(owner_id, below), sort, before, limit, session)

    async def _page(
        self, match: Filter, sort: Sort, before: str | None, limit: int, session: Session | None
    ) -> list[Run]:
        if before is not None:
            match = queries.behind(match, parsed_place(before, "before"), sort)
        return await page_of(Run.from_document, self._runs.find(match, session=session).sort(sort), limit)
