"""Snapshots: stored run states, so that a long run is not folded from its beginning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from appdb._driver import RawDocument, Session
from appdb._queries import snapshots as snapshot_queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import TooLargeError
from appdb.models.branches import BranchSegment
from appdb.models.run_state import RunState
from appdb.models.snapshots import Snapshot
from appdb.models.workflow_runs import Run
from appdb.reading import readable
from appdb.runs.compact import compact
from appdb.runs.fold import FOLD_VERSION
from appdb.runs.size_limits import MAX_SNAPSHOT_BYTES, MAX_SNAPSHOTS, NEWEST_SNAPSHOTS
from appdb.size_limits import check_size
from appdb.utils import derived_id


def readable_snapshot(rows: Iterable[RawDocument]) -> Snapshot | None:
    """Return the snapshot in *rows*, or ``None`` where there is none or it cannot be read."""
    return next(iter(readable(Snapshot.from_document, rows)), None)


def surplus(seqs: Sequence[int]) -> list[int]:
    """Return which of the snapshots at *seqs*, in order, a branch has too many.

    The newest stay, for those who read what is current. Of the older ones stay such that, wherever an earlier state is
    read, about as many events are folded.
    """
    kept, gone = list(seqs), []
    while len(kept) > MAX_SNAPSHOTS:
        # How far the next snapshot would be from the one before, without this one.
        spans = [(kept[at + 1] - (kept[at - 1] if at else 0), at) for at in range(len(kept) - NEWEST_SNAPSHOTS)]
        gone.append(kept.pop(min(spans)[1]))
    return gone


class Snapshots:
    """Stores and finds run states. A missing snapshot only costs time."""

    def __init__(self, connection: Connection) -> None:
        self._snapshots = connection.collection(collections.SNAPSHOTS)

    async def save_state(
        self, run: Run, lineage: Sequence[BranchSegment], state: RunState, session: Session | None = None
    ) -> str:
        """Store *state*, which was folded along *lineage*, and return the branch that it is of.

        Storing it again changes nothing that matters. Call ``thin_out`` afterwards.
        """
        branch_id = next(part.branch_id for part in lineage if part.has(state.seq))
        fields = {
            "run_id": run.id,
            "owner_id": run.owner_id,
            "branch_id": branch_id,
            "seq": state.seq,
            "fold_version": FOLD_VERSION,
            "state": compact(state),
        }
        try:
            check_size("snapshot", fields, MAX_SNAPSHOT_BYTES)
        except TooLargeError:
            # Too large to store: the next read folds from an older snapshot.
            return branch_id
        # The id follows from the event, so that two hosts which fold the same run store one snapshot.
        key = derived_id("snap_", run.id, branch_id, str(state.seq), str(FOLD_VERSION))
        await self._snapshots.update_one({"_id": key}, snapshot_queries.snapshot(fields), upsert=True, session=session)
        return branch_id

    async def thin_out(self, run: Run, branch_id: str) -> None:
        """Delete those snapshots of a branch that are least missed, if it has more than its share."""
        match = snapshot_queries.of_fold(run.id, branch_id, FOLD_VERSION)
        found = self._snapshots.find(match, snapshot_queries.SEQ_ALONE).sort("seq").batch_size(2 * MAX_SNAPSHOTS)
        if gone := surplus([row["seq"] async for row in found]):
            await self._snapshots.delete_many(match | snapshot_queries.at(gone))
