"""WorkflowRepository: runs of workflows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import JsonValue

from appdb._driver import Session, retried, retried_deletion, translates_errors
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.events import DbEventType as E
from appdb.models.branches import Branch
from appdb.models.events import NewRunEvent
from appdb.models.workflow_run_versions import RunVersion
from appdb.models.workflow_runs import NewRun, Run, RunStatus
from appdb.run_lock import RunLock
from appdb.runs.branches import RunBranches
from appdb.runs.cancel import CUT_OFF_AFTER, RunCanceller
from appdb.runs.deletion import LINGER, RunDeletion
from appdb.runs.fork import RunForker
from appdb.runs.fork_points import AtBeginning, ForkRequest, fork_of
from appdb.runs.listing import RunLists
from appdb.runs.open import RunOpener
from appdb.runs.run_versions import RunVersions
from appdb.runs.status import StatusWriter
from appdb.runs.succession import STRANDED_AFTER, RunSuccession
from appdb.utils import uuid7_str


class WorkflowRepository(BaseRepository):
    """Runs of workflows. A run's status is a cache of its events and is set by an event alone."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._run_lock = RunLock(connection)
        self._opener = RunOpener(connection)
        self._lists = RunLists(connection)
        self._status = StatusWriter(connection)
        self._forker = RunForker(connection)
        self._run_versions = RunVersions(connection)
        self._canceller = RunCanceller(connection)
        self._deletion = RunDeletion(connection)
        self._succession = RunSuccession(connection)
        self._branches = RunBranches(connection)

    @retried
    async def open(
        self, new: NewRun, *, owner_id: str, events: Sequence[NewRunEvent] = (), session: Session | None = None
    ) -> tuple[Run, bool]:
        """Return the project's open run, or make it with its first branch and events, in one transaction.

        A run that failed is open, too; *new* may ask for another one in its place (``NewRun.fresh``), or to wait until
        that has ended (``NewRun.on_begin``): then it is made with the status ``waiting``. Of callers at the same time,
        one makes the run and all get it. The same *new* again returns the run that it made, whatever has
        become of it.

        Args:
            new: The run.
            owner_id: Whose it is.
            events: What follows the event that begins its log, written where this call makes it and it begins at once;
                at most 500 as for an append, and the run is at the place to which they lead.
            session: The caller's transaction.

        Returns:
            The run, and whether this call has made it.

        Raises:
            ConflictError: The id is another run's, or this one was made with another project, parent or data; or it
                should wait, and too many do. With *session*, another run of the project was opened at the same moment,
                and the transaction is lost.
            NotFoundError: The owner has no run that could be its parent, or sees no such template.
            InvalidDataError: The project's name is empty or too long, or a new run could not accept the events.
            TooLargeError: The data is over 256 KiB as BSON, or the events are over the limits of an append.
        """
        return await self._opener.open_run(new, events, owner_id, session)

    @retried
    async def get(self, run_id: str, *, owner_id: str, session: Session | None = None) -> Run:
        """Return the owner's run.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
        """
        return await self._run_lock.find_run(run_id, owner_id, session)

    @retried
    async def find_open(self, project: str, *, owner_id: str, session: Session | None = None) -> Run | None:
        """Return the run that the owner's next visit to *project* goes on with, or ``None``."""
        return await self._lists.open_run_of(project, owner_id, session)

    @retried
    async def page(
        self,
        *,
        owner_id: str,
        statuses: Collection[RunStatus] = (),
        project: str | None = None,
        template_id: str | None = None,
        before: str | None = None,
        limit: int = 50,
        session: Session | None = None,
    ) -> list[Run]:
        """Return the owner's runs, newest first, without those that do sub-actions; see ``RunListRepository`` too.

        Args:
            owner_id: Whose runs.
            statuses: Only these statuses; empty for all.
            project: Only this project.
            template_id: Only runs of this workflow.
            before: The id of the last run of the page before.
            limit: The most runs to return.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no run *before*.
        """
        kind = (statuses, project, template_id)
        return await self._lists.page_of_runs(owner_id, kind, before, limit, session)

    @retried
    async def children(
        self, run_id: str, *, owner_id: str, limit: int = 50, session: Session | None = None
    ) -> list[Run]:
        """Return the runs that do sub-actions of the owner's run, oldest first by the clocks of those who opened them.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
        """
        return await self._lists.children_of(run_id, owner_id, limit, session)

    @translates_errors
    async def hold(self, run_id: str, *, owner_id: str, session: Session) -> Run:
        """Take the run lock in the caller's transaction, before documents of the run other than its log are written.

        What is written in the same transaction is either seen by a deletion of the run, or refused.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
        """
        return await self._run_lock.lock(run_id, owner_id, session)

    @retried
    async def set_status(
        self,
        run_id: str,
        status: RunStatus,
        *,
        owner_id: str,
        branch_id: str,
        data: Mapping[str, JsonValue] | None = None,
        session: Session | None = None,
    ) -> Run:
        """Append the event that gives a run this status; a run that has it already is left alone.

        A run that waits for its user goes on by the answer, and so is left alone by ``processing``, too.

        Args:
            run_id: The run.
            status: How it ends, or ``processing`` to let it go on.
            owner_id: Its owner.
            branch_id: The branch that the caller has read.
            data: What the event says, such as an ``error``.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run.
            ConflictError: It has ended, or moved on to another branch.
            InvalidDataError: Only events of its work give it that status.
        """
        return await self._status.write_status((run_id, owner_id), status, branch_id, data or {}, session)

    @retried
    async def set_version(
        self,
        run_id: str,
        version_id: str,
        *,
        owner_id: str,
        capabilities: Sequence[str] = (),
        requires: Sequence[Mapping[str, Any]] = (),
        session: Session | None = None,
    ) -> Run:
        """Let a run follow another version from its next event on, and note it in its history, in one transaction.

        Args:
            run_id: The run.
            version_id: The version; when the run follows it already, nothing is written.
            owner_id: The run's owner.
            capabilities: What the client was able to do.
            requires: What the version asks of a client.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run.
        """
        entry = {"version_id": version_id, "capabilities": list(capabilities), "requires": [*map(dict, requires)]}
        return await self._run_versions.follow_version(run_id, owner_id, entry, session)

    @retried
    async def versions(
        self,
        run_id: str,
        *,
        owner_id: str,
        before: str | None = None,
        limit: int = 50,
        session: Session | None = None,
    ) -> list[RunVersion]:
        """Return the versions that a run has followed, newest first; *before* is the id of the last entry seen.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted, or the run has no entry *before*.
        """
        return await self._run_versions.page_of_run(run_id, owner_id, before, limit, session)

    async def reset(
        self,
        run_id: str,
        *,
        owner_id: str,
        branch_id: str,
        data: Mapping[str, JsonValue] | None = None,
        new_branch_id: str | None = None,
        session: Session | None = None,
    ) -> Branch:
        """Let a run begin again on a branch with a root of its own; what was stays, and counts no more.

        Args:
            run_id: The run.
            owner_id: Its owner.
            branch_id: The branch that the caller takes for the current one.
            data: What it begins with; at most 256 KiB as BSON.
            new_branch_id: The id of the new branch, which makes a repeated call harmless; made here when left out.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run.
            ConflictError: The run has moved on to another branch, or another run of its project is open.
        """
        told = {**(data or {}), "reset": True}
        fork = fork_of((run_id, owner_id), (branch_id, new_branch_id), AtBeginning(), E.WORKFLOW_CREATED, told)
        return await self._fork(fork, session=session)

    @retried
    async def _fork(self, fork: ForkRequest, *, session: Session | None) -> Branch:
        return await self._forker.fork_run(fork, session)

    async def cancel(
        self,
        run_id: str,
        *,
        owner_id: str,
        data: Mapping[str, JsonValue] | None = None,
        event_id: str | None = None,
        session: Session | None = None,
    ) -> Run:
        """Cancel a run for good, with its live tasks and the child runs that have not ended, and return it.

        One transaction appends ``workflow_cancelled`` and stops the first tasks: from then on the run is cancelled for
        everybody who looks, and its log refuses what its tasks would still append. The other tasks and the child runs
        follow in transactions of their own. Again it goes on with those; a call that was cut off is repeated, or
        finished by ``finish_cancels``. A cancelled run can go on, by a retry or a jump.

        Args:
            run_id: The run.
            owner_id: Its owner.
            data: What the event says, such as who has asked for it.
            event_id: The id of the event, which makes a repeated call harmless; made here when left out.
            session: The caller's transaction; what does not belong to the first transaction is left to
                ``finish_cancels``, or to a call without *session* after it.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
            ConflictError: It has completed, or ended in another way that a cancel does not change.
        """
        return await self._cancel((run_id, owner_id), event_id or uuid7_str("evt_"), data or {}, session=session)

    @retried
    async def _cancel(
        self, run: tuple[str, str], event_id: str, data: Mapping[str, JsonValue], *, session: Session | None
    ) -> Run:
        return await self._canceller.cancel_run(run, event_id, data, session)

    @retried
    async def finish_cancels(self, *, older_than: timedelta = CUT_OFF_AFTER, limit: int = 100) -> int:
        """Stop what still works for cancelled runs, and return for how many runs; safe to run anywhere, any time.

        Args:
            older_than: How long ago a run must have been cancelled, so that this does not repeat a cancel under way.
            limit: The most runs to look at.
        """
        return await self._canceller.finish_cut_off(older_than, limit)

    @retried
    async def begin_waiting(self, *, older_than: timedelta = STRANDED_AFTER, limit: int = 100) -> int:
        """Let runs begin that wait where no run of their project is open; safe to run anywhere, any time.

        Whoever ends or deletes a run lets the next one begin in the same transaction. Hosts of 0.3.0 do not, and
        leave those behind that this finds.

        Args:
            older_than: How long a run must have waited.
            limit: The most projects to look at.

        Returns:
            In how many projects a run has begun.
        """
        return await self._succession.begin_stranded(older_than, limit)

    @retried_deletion
    async def delete(self, run_id: str, *, owner_id: str) -> None:
        """Delete a run with all that hangs on it; its live tasks are cancelled, and what its calls cost is kept.

        It disappears at once and takes no more writes. A call that was cut off is repeated, or finished by ``sweep``.

        Raises:
            NotFoundError: The owner has no such run.
        """
        await self._deletion.delete_whole(run_id, owner_id)

    @translates_errors
    async def sweep(self, *, older_than: timedelta = LINGER, limit: int = 100) -> int:
        """Finish deletions of runs and branches that were cut off, and return how many; safe to run anywhere, any time.

        Of a deleted run a mark stays. Once that is *older_than*, what has slipped in behind the deletion is deleted,
        and the mark with it.

        Args:
            older_than: How long nobody can still be about to write for a run that he has seen before its deletion.
            limit: The most runs and the most branches to look at.
        """
        return await self._branches.finish_cut_off(limit) + await self._deletion.finish_cut_off(older_than, limit)
