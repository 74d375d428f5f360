"""The run lock: the run's own document, which every writer of its log and its branches writes to first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from appdb._driver import AFTER, DuplicateKeyError, RawDocument, Session, notes_of
from appdb._queries import workflow_runs as queries
from appdb._queries.types import Filter, Pipeline
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.workflow_runs import Run

RUN = "workflow run"


class RunLock:
    """Finds, checks, locks and changes one run.

    The lock is a write, not a lease: MongoDB lets one of two transactions that write to the same document go on, and
    the other one begins again (decision 0008). It is held until the transaction ends.
    """

    def __init__(self, connection: Connection) -> None:
        self._runs = connection.collection(collections.WORKFLOW_RUNS)

    async def find_run(self, run_id: str, owner_id: str, session: Session | None = None) -> Run:
        """Return the owner's run.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
        """
        found = await self._runs.find_one(queries.owned(run_id, owner_id), session=session)
        if found is None:
            raise no_run(run_id)
        return Run.from_document(found)

    async def check_run(self, run_id: str, owner_id: str, session: Session | None = None) -> None:
        """Check that the owner has the run.

        Called after a read, it makes sure that nothing of the run was deleted before the read. Called after a write, it
        makes sure that the run's deletion will find what was written.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
        """
        if await self._runs.find_one(queries.owned(run_id, owner_id), {"_id": 1}, session=session) is None:
            raise no_run(run_id)

    async def missing_runs(self, runs: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return those of *runs* (id, owner) that ``check_run`` would refuse; one round trip, or none for no runs."""
        if not runs:
            return []
        found = self._runs.find(queries.there({run_id for run_id, _ in runs}), {"owner_id": 1})
        there = {(row["_id"], row["owner_id"]) async for row in found}
        return sorted(set(runs) - there)

    async def lock(self, run_id: str, owner_id: str, session: Session, *, branch_id: str | None = None) -> Run:
        """Lock the run for the caller's transaction, and return it, updated at the server's now.

        Other writers of the run, and its deletion, come before or after the transaction. The deletion then finds what
        the transaction wrote.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
            ConflictError: Its events go to another branch than *branch_id*.
        """
        match = queries.on_branch(run_id, owner_id, branch_id)
        # A read would conflict with nobody, so the lock must be a write.
        locked = await self.change_run(match, queries.lock_write(), session)
        if locked is None:
            run = await self.find_run(run_id, owner_id, session)
            raise ConflictError(RUN, run_id, moved_on(run.branch_id))
        return locked.model_copy(update={"updated_at": locked.touched_at})

    async def hold(self, run_id: str, owner_id: str, session: Session) -> Sequence[str]:
        """Lock the run for the caller's transaction, and return the runs that it is a part of.

        No round trip where the transaction has written to the run already.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
        """
        noted: Sequence[str] | None = notes_of(session).get((run_id, owner_id))
        return (await self.lock(run_id, owner_id, session)).ancestors if noted is None else noted

    async def change_run(self, match: Filter, update: Pipeline, session: Session) -> Run | None:
        """Change the run that *match* finds and return it, or ``None``.

        Raises:
            ConflictError: It would be open beside another run of its project.
        """
        try:
            changed: RawDocument | None = await self._runs.find_one_and_update(
                match, update, return_document=AFTER, session=session
            )
        except DuplicateKeyError as exc:
            problem = "another run of its project is open; end or delete that one first"
            raise ConflictError(RUN, str(match["_id"]), problem) from exc
        if changed is None:
            return None
        run = Run.from_document(changed)
        notes_of(session)[run.id, run.owner_id] = run.ancestors
        return run


def no_run(run_id: str) -> NotFoundError:
    """Return what to say of a run that is not there, or not any more."""
    return NotFoundError(RUN, run_id)


def moved_on(branch_id: str) -> str:
    """Return what to say to one who writes to a branch that the run has left."""
    return f"its events go to branch {branch_id} now; read its state again"
