"""Branches of a run: found, listed, and deleted when nothing is built on them."""

from __future__ import annotations

from appdb._driver import Collection, RawDocument, Session
from appdb._queries import branches as queries
from appdb._queries.paging import NEWEST_FIRST
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.bounds import at_most
from appdb.models.branches import Branch
from appdb.reading import page_of
from appdb.run_lock import RunLock
from appdb.runs.batches import delete_all

BRANCH = "branch"


class RunBranches:
    """Finds, lists and deletes branches."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._run_lock = RunLock(connection)
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
        last = None
        if before is not None:
            await self._run_lock.check_run(run_id, owner_id, session)
            last = await last_of(self._branches, BRANCH, before, (run_id, owner_id), session)
        found = self._branches.find(queries.page(run_id, owner_id, last), session=session).sort(NEWEST_FIRST)
        branches = await page_of(Branch.from_document, found, limit)
        await self._run_lock.check_run(run_id, owner_id, session)
        return branches

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
            await self._branches.update_one({"_id": branch_id}, {"$set": {"deleting": True}}, session=session)

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
            await delete_all(part, queries.of_branch(branch["run_id"], branch["_id"]))
        await self._branches.delete_one({"_id": branch["_id"], "deleting": True})


async def last_of(
    rows: Collection, kind: str, row_id: str, run: tuple[str, str], session: Session | None
) -> RawDocument:
    """Return when a document of the *run*, an id and its owner, was made: the last one of the page before.

    Raises:
        NotFoundError: The run has none of that id.
    """
    run_id, owner_id = run
    match = queries.of_run(run_id, owner_id, row_id)
    found: RawDocument | None = await rows.find_one(match, {"created_at": 1}, session=session)
    if found is None:
        raise NotFoundError(f"{kind} of run {run_id}", row_id)
    return found
