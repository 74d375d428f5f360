"""Run lists: an owner's runs, the open run of a project, and the child runs of a run."""

from __future__ import annotations

from collections.abc import Collection

from appdb._driver import RawDocument, Session
from appdb._queries import run_lists
from appdb._queries import workflow_runs as queries
from appdb._queries.paging import BY_ID, NEWEST_FIRST
from appdb._schema import collections
from appdb.connection import Connection
from appdb.models.workflow_runs import Run, RunStatus
from appdb.reading import page_of
from appdb.run_lock import RunLock, no_run


class RunLists:
    """Lists runs, for ``WorkflowRepository``."""

    def __init__(self, connection: Connection) -> None:
        self._run_lock = RunLock(connection)
        self._runs = connection.collection(collections.WORKFLOW_RUNS)

    async def open_run_of(self, project: str, owner_id: str, session: Session | None) -> Run | None:
        """Return the open run of the owner's project, or ``None``."""
        found = await self._runs.find_one(queries.open_of(owner_id, project), session=session)
        return None if found is None else Run.from_document(found)

    async def page_of_runs(
        self,
        owner_id: str,
        kind: tuple[Collection[RunStatus], str | None, str | None],
        before: str | None,
        limit: int,
        session: Session | None,
    ) -> list[Run]:
        """Return the owner's runs, newest first; *kind* is statuses, empty for all, a project and a template."""
        last = None if before is None else await self._last(before, owner_id, session)
        match = run_lists.page(owner_id, *kind, last)
        # By the database's time: ids are made by hosts, and one whose clock is ahead would stand on top of every list.
        found = self._runs.find(match, session=session).sort(NEWEST_FIRST)
        return await page_of(Run.from_document, found, limit)

    async def _last(self, run_id: str, owner_id: str, session: Session | None) -> RawDocument:
        found = await self._runs.find_one(queries.owned(run_id, owner_id), {"created_at": 1}, session=session)
        if found is None:
            raise no_run(run_id)
        return found

    async def children_of(self, run_id: str, owner_id: str, limit: int, session: Session | None) -> list[Run]:
        """Return the child runs of the owner's run, oldest first."""
        found = self._runs.find(queries.visible_children(run_id, owner_id), session=session).sort(BY_ID)
        children = await page_of(Run.from_document, found, limit)
        await self._run_lock.check_run(run_id, owner_id, session)
        return children
