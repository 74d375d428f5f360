"""BranchRepository: branches of runs, which fork and never merge."""

from __future__ import annotations

from appdb._driver import Session, retried, retried_deletion
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.events import DbEventType as E
from appdb.models.branches import Branch, BranchSegment
from appdb.models.events import NewRunEvent
from appdb.run_lock import RunLock
from appdb.runs.branches import RunBranches
from appdb.runs.fork import RunForker
from appdb.runs.fork_points import AtEnd, AtEvent, ForkRequest, fork_of
from appdb.runs.reader import RunReader
from appdb.utils import uuid7_str


class BranchRepository(BaseRepository):
    """Branches of runs. The first branch is made with the run; a reset makes another root."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._branches = RunBranches(connection)
        self._forker = RunForker(connection)
        self._reader = RunReader(connection)
        self._run_lock = RunLock(connection)

    async def fork(
        self,
        run_id: str,
        seq: int,
        event: NewRunEvent,
        *,
        owner_id: str,
        branch_id: str,
        new_branch_id: str | None = None,
        session: Session | None = None,
    ) -> Branch:
        """Make a branch behind an event and let the run go on there, in one transaction with the event that says why.

        What came after stays where it is, and counts no more. Calling it again with the same *new_branch_id* returns
        the branch.

        Args:
            run_id: The run.
            seq: The number of the last event that counts, on whichever branch it is.
            event: Why; ``previous_branch_id`` and ``cutoff_seq`` are added to its data.
            owner_id: The run's owner.
            branch_id: The branch that the caller takes for the current one.
            new_branch_id: The id of the new branch; made here when left out.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run, or the run no such event.
            ConflictError: The run has moved on to another branch, it would be open beside another of its project, or
                *new_branch_id* is that of another fork.
        """
        fork = ForkRequest(
            run_id=run_id,
            owner_id=owner_id,
            current=branch_id,
            branch_id=new_branch_id or uuid7_str("br_"),
            point=AtEvent(seq=seq),
            event=event,
        )
        return await self._fork(fork, session=session)

    async def switch(
        self,
        run_id: str,
        target_branch_id: str,
        *,
        owner_id: str,
        branch_id: str,
        new_branch_id: str | None = None,
        session: Session | None = None,
    ) -> Branch:
        """Let a run go on where another of its branches ended, on a new branch behind the last event of that one.

        All is as it was there, also how the run had ended there. Both branches stay as they are.

        Args:
            run_id: The run.
            target_branch_id: The branch to return to.
            owner_id: The run's owner.
            branch_id: The branch that the caller takes for the current one.
            new_branch_id: The id of the new branch, which makes a repeated call harmless; made here when left out.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run, or the run no such branch.
            ConflictError: The run is on that branch, has moved on to another one, would be open beside another of its
                project, or *new_branch_id* is that of another fork.
        """
        data = {"target_branch_id": target_branch_id}
        point = AtEnd(branch_id=target_branch_id)
        fork = fork_of((run_id, owner_id), (branch_id, new_branch_id), point, E.BRANCH_SWITCHED, data)
        return await self._fork(fork, session=session)

    @retried
    async def _fork(self, fork: ForkRequest, *, session: Session | None) -> Branch:
        return await self._forker.fork_run(fork, session)

    @retried
    async def get(self, branch_id: str, *, owner_id: str, session: Session | None = None) -> Branch:
        """Return the owner's branch.

        Raises:
            NotFoundError: The owner has no such branch.
        """
        return await self._branches.get_branch(branch_id, owner_id, session)

    @retried
    async def current(self, run_id: str, *, owner_id: str, session: Session | None = None) -> Branch:
        """Return the branch that a run's events go to.

        Raises:
            NotFoundError: The owner has no such run.
        """
        run = await self._run_lock.find_run(run_id, owner_id, session)
        return await self._branches.get_branch(run.branch_id, owner_id, session)

    @retried
    async def root(self, run_id: str, *, owner_id: str, session: Session | None = None) -> Branch:
        """Return the branch that the current line of history begins with.

        Raises:
            NotFoundError: The owner has no such run.
        """
        current = await self.current(run_id, owner_id=owner_id, session=session)
        return await self._branches.get_branch(current.lineage[0].branch_id, owner_id, session)

    @retried
    async def lineage(self, run_id: str, *, owner_id: str, session: Session | None = None) -> list[BranchSegment]:
        """Return the current line of history from its root, each part cut off at the last event that counts.

        Raises:
            NotFoundError: The owner has no such run.
        """
        run = await self._run_lock.find_run(run_id, owner_id, session)
        return await self._reader.lineage_of(run, run.branch_id, session)

    @retried
    async def page(
        self,
        run_id: str,
        *,
        owner_id: str,
        before: str | None = None,
        limit: int = 50,
        session: Session | None = None,
    ) -> list[Branch]:
        """Return a run's branches, newest first; *before* is the id of the last one of the page before.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted, or the run has no branch *before*.
        """
        return await self._branches.page_of_run(run_id, owner_id, before, limit, session)

    @retried_deletion
    async def delete(self, branch_id: str, *, owner_id: str) -> None:
        """Delete a branch with its events.

        A call that was cut off is repeated, or finished by ``WorkflowRepository.sweep``.

        Raises:
            NotFoundError: The owner has no such branch.
            ConflictError: The run's events go to it, or other branches go on from it.
        """
        await self._branches.delete_with_events(branch_id, owner_id)
