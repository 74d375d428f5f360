"""Branches of a run: found, listed, and deleted when nothing is built on them."""

from __future__ import annotations

from appdb._driver import RawDocument, Session
from appdb._queries import branches as queries
from appdb._queries.events import of_branch
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.bounds import at_most
from appdb.models.branches import Branch
from appdb.run_lock import RunLock
from appdb.runs.batches import delete_all
from appdb.runs.paging import RunPages

BRANCH = "branch"


class RunBranches:
    """Finds, lists and deletes branches."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._run_lock = RunLock(connection)
        self._pages = RunPages(connection, collections.BRANCHES, BRANCH, Branch.from_document, queries.page)
        self._branches = connection.collection(collections.BRANCHES)
        self._parts = [connection.collection(name) for name in (collections.EVENTS, collections.SNAPSHOTS)]

    async def get_branch(self, branch_id: str, owner_id: str, session: Session | None) -> Branch:
        """Return the owner's branch."""
        found = await self._branches.find_one(queries.owned(branch_id, owner_id), session=session)
        if found is None:
            raise NotFoundError(BRANCH, branch_id)
        await self._run_lock.check_run(found["run_id"], owner_id, session)
        return Branch.from_document(found)

    async def page_of_run(
        self, run_id: str, owner_id: str, before: str | None, limit: int, session: Session | None
    ) -> list[Branch]:
        """Return the branches of a run, newest first."""
        return await self._pages.page_of_run(run_id, owner_id, before, limit, session)

    async def delete_with_events(self, branch_id: str, owner_id: str) -> None:
        """Mark a branch as deleted, then delete its events, and the branch last."""
        found = await self._branches.find_one({"_id": branch_id, "owner_id": owner_id})
        if found is None:
            raise NotFoundError(BRANCH, branch_id)
        run_id = found["run_id"]

        async def body(session: Session) -> None:
            run = await self._run_lock.lock(run_id, owner_id, session)
            if run.branch_id == branch_id:
                raise ConflictError(BRANCH, branch_id, "the run's events go to it; go to another branch first")
            # Under the run lock no branch is made meanwhile, so this look decides.
            if await self._branches.find_one(queries.built_on(run_id, branch_id), {"_id": 1}, session=session):
                raise ConflictError(BRANCH, branch_id, "other branches go on from it; delete those first")
            await self._branches.update_one({"_id": branch_id}, queries.begin_deletion(), session=session)

        # From the mark on, the events are on no line of history; a kill in between is finished by the sweep.
        await self._connection.transaction(body)
        await self._finish(found)

    async def finish_cut_off(self, limit: int) -> int:
        """Finish interrupted deletions of branches, and return how many."""
        rows = [row async for row in self._branches.find(queries.deleting()).limit(at_most(limit))]
        for row in rows:
            await self._finish(row)
        return len(rows)

    async def _finish(self, branch: RawDocument) -> None:
        for part in self._parts:
            await delete_all(part, of_branch(branch["run_id"], branch["_id"]))
        await self._branches.delete_one({"_id": branch["_id"]} | queries.deleting())
