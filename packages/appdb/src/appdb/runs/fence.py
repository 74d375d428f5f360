"""The fence of a run: its own document, which every writer of its log and its branches writes to."""

from __future__ import annotations

from appdb._driver import AFTER, DuplicateKeyError, RawDocument, Session
from appdb._queries import runs as queries
from appdb._schema import collections
from appdb.errors import ConflictError, NotFoundError
from appdb.models.run import Run
from appdb.runs.store import Store

RUN = "workflow run"


class Fence:
    """Finds and changes one run."""

    def __init__(self, store: Store) -> None:
        self._runs = store.collection(collections.WORKFLOW_RUNS)

    async def find(self, run_id: str, owner_id: str, session: Session | None = None) -> Run:
        """Return the owner's run."""
        found = await self._runs.find_one(queries.owned(run_id, owner_id), session=session)
        if found is None:
            raise NotFoundError(RUN, run_id)
        return Run.from_document(found)

    async def take(self, run_id: str, owner_id: str, branch_id: str | None, session: Session) -> Run:
        """Write to the run, so that no other writer comes in between, and return it, updated at the server's now.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
            ConflictError: Its events go to another branch than *branch_id*.
        """
        match = queries.on_branch(run_id, owner_id, branch_id)
        taken = await self.change(match, queries.touched(), session)
        if taken is None:
            run = await self.find(run_id, owner_id, session)
            raise ConflictError(RUN, run_id, moved_on(run.branch_id))
        return taken.model_copy(update={"updated_at": taken.touched_at})

    async def change(self, match: queries.Filter, update: queries.Pipeline, session: Session) -> Run | None:
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
        return None if changed is None else Run.from_document(changed)


def moved_on(branch_id: str) -> str:
    """Return what to say to one who writes to a branch that the run has left."""
    return f"its events go to branch {branch_id} now; read its state again"
