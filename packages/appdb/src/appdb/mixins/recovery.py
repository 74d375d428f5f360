"""The repair of runs: a status or position that disagrees with the run's events is found and mended."""

from __future__ import annotations

from collections.abc import Collection

from appdb._driver import Session, retried
from appdb.connection import Connection
from appdb.models.recovery import Recovery
from appdb.runs.repair import RunRepair


class RecoveryMixin(Connection):
    """The part of ``Database`` that mends the caches of a run."""

    @retried
    async def recover_run(
        self,
        run_id: str,
        *,
        owner_id: str,
        steps: Collection[str] = (),
        dry_run: bool = False,
        session: Session | None = None,
    ) -> Recovery:
        """Compare a run's caches with its events, and let the events win.

        A wrong status is mended by a new branch from the last event behind which nothing was half done, with a
        ``workflow_recovered`` that says why; other caches are set right where they are. It happens in one transaction
        that holds the run lock, so that a healthy run in the middle of its writes is left alone, and of two
        recoveries one finds nothing to do.

        Args:
            run_id: The run.
            owner_id: Its owner.
            steps: The steps of its workflow, if they are known: then a run that is processing with all of them
                completed is found, too.
            dry_run: Only say what would be done.
            session: The caller's transaction, if it does more at the same time.

        Raises:
            NotFoundError: The owner has no such run.
            ConflictError: Events are missing, its project has another open run by now, or a newer release has written
                to it what this one does not know.
        """
        return await RunRepair(self).repair_run(run_id, owner_id, steps, session, dry_run=dry_run)
