"""Snapshots: stored run states, so that a long run is not folded from its beginning."""

from __future__ import annotations

from collections.abc import Sequence

from appdb._driver import Session
from appdb._queries import events as event_queries
from appdb._queries import snapshots as snapshot_queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import TooLargeError
from appdb.models.branches import BranchSegment
from appdb.models.events import RunEvent
from appdb.models.run_state import RunState
from appdb.models.snapshots import Snapshot
from appdb.models.workflow_runs import Run
from appdb.reading import readable
from appdb.runs.compact import compact, expand, named_events
from appdb.runs.fold import EMPTY, FOLD_VERSION
from appdb.runs.size_limits import MAX_SNAPSHOT_BYTES
from appdb.size_limits import check_size
from appdb.utils import derived_id


class Snapshots:
    """Stores and finds run states. A missing snapshot only costs time."""

    def __init__(self, connection: Connection) -> None:
        self._snapshots = connection.collection(collections.SNAPSHOTS)
        self._events = connection.collection(collections.EVENTS)

    async def newest_state(self, run: Run, lineage: Sequence[BranchSegment], session: Session | None) -> RunState:
        """Return the newest stored state of *lineage*, or the empty one; two round trips.

        A snapshot belongs to an event of a branch, and holds for every line of history that has this event.
        """
        match = snapshot_queries.snapshots(run.id, run.owner_id, lineage, FOLD_VERSION)
        found = await self._snapshots.find_one(match, sort=[("seq", -1)], session=session)
        if found is None:
            return EMPTY
        snapshot = next(iter(readable(Snapshot.from_document, [found])), None)
        if snapshot is None:
            return EMPTY
        named = named_events(snapshot.state)
        wanted = event_queries.by_ids(run.id, run.owner_id, named)
        rows = [RunEvent.from_document(row) async for row in self._events.find(wanted, session=session)]
        events = {event.id: event for event in rows}
        # The events hold the data that the snapshot left out; without one of them it cannot be made whole.
        return expand(snapshot.state, events) if named == events.keys() else EMPTY

    async def save_state(self, run: Run, lineage: Sequence[BranchSegment], state: RunState) -> None:
        """Store *state*, which was folded along *lineage*; storing it again changes nothing that matters."""
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
            return
        # The id follows from the event, so that two hosts which fold the same run store one snapshot.
        key = derived_id("snap_", run.id, branch_id, str(state.seq), str(FOLD_VERSION))
        await self._snapshots.update_one({"_id": key}, snapshot_queries.snapshot(fields), upsert=True)
