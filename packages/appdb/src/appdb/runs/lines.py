"""Lines of history: a run, a branch's line, the newest snapshot on it and the events behind that, read at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appdb._driver import RawDocument, Session
from appdb._queries import run_reads
from appdb._queries.run_reads import LineEnd
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import NotFoundError, UnreadableError
from appdb.models.branches import Branch, BranchSegment
from appdb.models.events import RunEvent
from appdb.models.run_state import RunState
from appdb.models.workflow_runs import Run
from appdb.run_lock import no_run
from appdb.runs.compact import expand, named_events
from appdb.runs.fold import EMPTY, FOLD_VERSION
from appdb.runs.lineage import truncated
from appdb.runs.size_limits import PAGE_EVENTS
from appdb.runs.snapshots import readable_snapshot

NO_FOLD = 0
"""A version that no fold has, for reads without a snapshot."""
MOST_ROWS = 100_000
"""In one answer, which the server ends at 16 MiB; by itself it would end the first one behind 101 rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """A line of a run's history that is cut off, and what its state is made of.

    Args:
        run: The run.
        lineage: Its parts with events behind *start*, or all parts; empty where the event asked for is not on the line.
        start: The state of the newest snapshot on it, or the empty one.
        page: The first events behind *start*, in order.
    """

    run: Run
    lineage: Sequence[BranchSegment]
    start: RunState
    page: Sequence[RunEvent]

    @property
    def end(self) -> LineEnd:
        """Where it ends; it must not be empty."""
        last = self.lineage[-1]
        return LineEnd(run_id=self.run.id, owner_id=self.run.owner_id, branch_id=last.branch_id, seq=last.cutoff_seq)


class Lines:
    """Reads lines of history."""

    def __init__(self, connection: Connection) -> None:
        self._runs = connection.collection(collections.WORKFLOW_RUNS)

    async def read(self, end: LineEnd, session: Session | None, *, whole: bool = False) -> HistoryLine:
        """Return the line of history up to *end*; one round trip, where the branch that has that event has a snapshot.

        Args:
            end: The event that it ends with.
            session: The caller's transaction.
            whole: Whether its ``lineage`` has all parts.

        Raises:
            NotFoundError: The owner has no such run or branch.
            UnreadableError: It lacks an event that the run counts.
        """
        try:
            rows = await self._rows(end, FOLD_VERSION, session, whole=whole)
            if _is_snapshot_elsewhere(rows):
                rows = await self._rows(end, FOLD_VERSION, session, anywhere=True, whole=whole)
            return _line(end, rows)
        except _UselessSnapshotError:
            return _line(end, await self._rows(end, NO_FOLD, session, anywhere=True, whole=whole))

    async def _rows(
        self, end: LineEnd, fold_version: int, session: Session | None, *, anywhere: bool = False, whole: bool
    ) -> list[RawDocument]:
        pipeline = run_reads.run_on_line(
            end, fold_version=fold_version, page=PAGE_EVENTS, anywhere=anywhere, whole=whole
        )
        found = self._runs.aggregate(pipeline, session=session, batchSize=MOST_ROWS)
        return [row async for row in found]


def _is_snapshot_elsewhere(rows: Sequence[RawDocument]) -> bool:
    """Return whether the newest snapshot of a line can only be one of its other branches."""
    head = rows[0]["head"] if rows else {}
    return "snapshot" not in head and len(head.get("branch", {}).get("lineage", ())) > 1


class _UselessSnapshotError(Exception):
    """A snapshot cannot be read, or not be made whole."""


def _line(end: LineEnd, rows: Sequence[RawDocument]) -> HistoryLine:
    if not rows:
        raise no_run(end.run_id)
    head = rows[0]["head"]
    run = Run.from_document(head["run"])
    if "branch" not in head:
        raise NotFoundError("branch", end.branch_id or run.branch_id)
    lineage = _lineage(end, run, Branch.from_document(head["branch"]))
    events = sorted((RunEvent.from_document(row["event"]) for row in rows if "event" in row), key=_by_number)
    start = _start(head.get("snapshot"), events)
    behind = [event for event in events if event.seq > start.seq]
    return HistoryLine(run=run, lineage=lineage, start=start, page=_counting_of(lineage, behind))


def _counting_of(lineage: Sequence[BranchSegment], events: Sequence[RunEvent]) -> list[RunEvent]:
    """Return those of *events*, which were found by their numbers alone, that are on *lineage*."""
    parts = {part.branch_id: part for part in lineage}
    return [event for event in events if event.branch_id in parts and parts[event.branch_id].has(event.seq)]


def _by_number(event: RunEvent) -> int:
    return event.seq


def _lineage(end: LineEnd, run: Run, branch: Branch) -> list[BranchSegment]:
    return counting(run, branch) if end.seq is None else truncated(branch.lineage, end.seq)


def _start(snapshot: RawDocument | None, events: Sequence[RunEvent]) -> RunState:
    """Return the state that *snapshot* and those of *events* that it names make; without one, the empty state.

    Raises:
        _UselessSnapshotError: It cannot be read, or one of its events is missing.
    """
    if snapshot is None:
        return EMPTY
    found = readable_snapshot([snapshot])
    if found is None:
        raise _UselessSnapshotError
    kept = {event.id: event for event in events if event.seq <= found.seq}
    # The events hold the data that the snapshot left out; without one of them it cannot be made whole.
    if named_events(found.state) != kept.keys():
        raise _UselessSnapshotError
    return expand(found.state, kept)


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
