"""Lines of history: a run, a branch's line and the newest snapshot on it, read at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appdb._driver import RawDocument, Session
from appdb._queries import run_reads
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import NotFoundError, UnreadableError
from appdb.models.branches import Branch, BranchSegment
from appdb.models.snapshots import Snapshot
from appdb.models.workflow_runs import Run
from appdb.run_lock import no_run
from appdb.runs.fold import FOLD_VERSION
from appdb.runs.lineage import truncated
from appdb.runs.snapshots import readable_snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """A run, a line of its history that is cut off, and the newest snapshot on it."""

    run: Run
    lineage: Sequence[BranchSegment]
    snapshot: Snapshot | None


class Lines:
    """Reads lines of history."""

    def __init__(self, connection: Connection) -> None:
        self._runs = connection.collection(collections.WORKFLOW_RUNS)

    async def read(
        self, run_id: str, owner_id: str, branch_id: str | None, seq: int | None, session: Session | None
    ) -> HistoryLine:
        """Return a run with a line of history, in one round trip.

        Args:
            run_id: The run.
            owner_id: Its owner.
            branch_id: The branch that the line leads to; ``None`` for the current one.
            seq: The last event of the line, which is empty when it has none of that number; ``None`` for the last one.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run or branch.
        """
        row = await self._row(run_id, owner_id, branch_id, seq, session)
        if row is None:
            raise no_run(run_id)
        run = Run.from_document(row)
        if not row["branch"]:
            raise NotFoundError("branch", branch_id or run.branch_id)
        lineage = counting(run, Branch.from_document(row["branch"][0]))
        cut_off = lineage if seq is None else truncated(lineage, seq)
        return HistoryLine(run=run, lineage=cut_off, snapshot=readable_snapshot(row["snapshot"]))

    async def newest_snapshot(
        self, run: Run, lineage: Sequence[BranchSegment], session: Session | None
    ) -> Snapshot | None:
        """Return the newest snapshot on *lineage*, which is cut off, or ``None``; one round trip."""
        last = lineage[-1]
        row = await self._row(run.id, run.owner_id, last.branch_id, last.cutoff_seq, session)
        return None if row is None else readable_snapshot(row["snapshot"])

    async def _row(
        self, run_id: str, owner_id: str, branch_id: str | None, seq: int | None, session: Session | None
    ) -> RawDocument | None:
        pipeline = run_reads.run_on_line(run_id, owner_id, branch_id, seq, FOLD_VERSION)
        return next(iter([row async for row in self._runs.aggregate(pipeline, session=session)]), None)


def counting(run: Run, branch: Branch) -> list[BranchSegment]:
    """Return the line of history of a branch, up to what *run* counts.

    Raises:
        UnreadableError: It lacks an event that *run* counts.
    """
    if branch.id != run.branch_id:
        return branch.lineage
    if not (cut_off := truncated(branch.lineage, run.event_count - 1)):
        raise UnreadableError("Branch", branch.id, f"its line of history lacks event {run.event_count - 1}")
    return cut_off
