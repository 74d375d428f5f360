"""Run reading: the lineage of a branch, the events on it, and the state that is folded from them."""

from __future__ import annotations

from collections.abc import Sequence

from appdb._driver import Session
from appdb._queries import branches as branch_queries
from appdb._queries import events as queries
from appdb._queries.run_reads import LineEnd
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.bounds import at_most
from appdb.models.branches import Branch, BranchSegment
from appdb.models.events import EventFilter, RunEvent
from appdb.models.run_state import RunState
from appdb.models.workflow_runs import Run
from appdb.run_lock import RUN, RunLock
from appdb.runs.fold import fold_events
from appdb.runs.lineage import next_seq, page_end
from appdb.runs.lines import HistoryLine, Lines, counting
from appdb.runs.size_limits import PAGE_EVENTS, SNAPSHOT_EVERY
from appdb.runs.snapshots import Snapshots


class _GapError(Exception):
    """An event of a line of history is missing."""

    def __init__(self, seq: int | None) -> None:
        super().__init__(seq)
        self.seq = seq


class RunReader:
    """Reads runs; outside of a transaction it also stores snapshots."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._run_lock = RunLock(connection)
        self._snapshots = Snapshots(connection)
        self._branches = connection.collection(collections.BRANCHES)
        self._events = connection.collection(collections.EVENTS)
        self._lines = Lines(connection)

    async def run(self, run_id: str, owner_id: str, session: Session | None) -> Run:
        """Return the owner's run."""
        return await self._run_lock.find_run(run_id, owner_id, session)

    async def current_state(self, run_id: str, owner_id: str, session: Session | None) -> tuple[Run, RunState]:
        """Return the owner's run and its state; one round trip, unless the run was never read for long."""
        line = await self._lines.read(LineEnd(run_id=run_id, owner_id=owner_id), session)
        return line.run, await self.state_on(line, session)

    async def state_at(self, end: LineEnd, seq: int, session: Session | None) -> tuple[Run, RunState]:
        """Return the run, and its state after the event *seq*, with which *end* ends a line of history.

        Raises:
            NotFoundError: The owner has no such run or branch, or the line no such event.
            ConflictError: An event is missing, which nothing here can mend.
        """
        line = await self._lines.read(end, session)
        on_line = bool(line.lineage) and seq < line.run.event_count
        try:
            if on_line:
                return line.run, await self._fold(line, session)
        except _GapError:
            # Either the event is on another branch, or one before it is missing.
            pass
        if not on_line or not await self._has(line, seq, session):
            await self._run_lock.check_run(end.run_id, end.owner_id, session)
            raise NotFoundError(f"event of run {end.run_id}", str(seq))
        return line.run, await self.state_on(line, session)

    async def _has(self, line: HistoryLine, seq: int, session: Session | None) -> bool:
        """Return whether the event *seq* is of the branch that *line* ends with."""
        match = queries.numbered(line.run.id, line.run.owner_id, seq)
        found = await self._events.find_one(match, {"branch_id": 1}, session=session)
        return found is not None and bool(found["branch_id"] == line.lineage[-1].branch_id)

    async def lineage_of(self, run: Run, branch_id: str, session: Session | None) -> list[BranchSegment]:
        """Return the line of history of a branch of *run*, up to what *run* counts."""
        match = branch_queries.of_run(run.id, run.owner_id, branch_id)
        found = await self._branches.find_one(match, session=session)
        if found is None:
            await self._run_lock.check_run(run.id, run.owner_id, session)
            raise NotFoundError("branch", branch_id)
        return counting(run, Branch.from_document(found))

    async def events_on(
        self,
        run: Run,
        lineage: Sequence[BranchSegment],
        wanted: EventFilter,
        *,
        limit: int,
        session: Session | None,
        newest: bool = False,
    ) -> list[RunEvent]:
        """Return at most *limit* events of *lineage*, in order, from its beginning, or the *newest* first."""
        match = queries.on_lineage(run.id, run.owner_id, lineage, wanted)
        order = queries.NEWEST_FIRST if newest else queries.OLDEST_FIRST
        if match is None:
            return []
        # By itself the server would end its first answer behind 101 events.
        found = self._events.find(match, session=session).sort(order).limit(at_most(limit)).batch_size(limit + 1)
        return [RunEvent.from_document(row) async for row in found]

    async def counting_events(
        self,
        run_id: str,
        owner_id: str,
        wanted: EventFilter,
        *,
        limit: int,
        branch_id: str | None = None,
        newest: bool = False,
        session: Session | None,
    ) -> tuple[list[BranchSegment], list[RunEvent]]:
        """Return the line of history of a branch of the owner's run, the current one by default, and events on it.

        Raises:
            NotFoundError: The owner has no such run or branch.
        """
        run = await self._run_lock.find_run(run_id, owner_id, session)
        lineage = await self.lineage_of(run, branch_id or run.branch_id, session)
        events = await self.events_on(run, lineage, wanted, limit=limit, newest=newest, session=session)
        await self._run_lock.check_run(run_id, owner_id, session)
        return lineage, events

    async def state_after(self, end: LineEnd, session: Session | None) -> RunState:
        """Return the state after the event that *end* names.

        Raises:
            NotFoundError: The run is being deleted.
            ConflictError: An event is missing, which nothing here can mend.
        """
        return await self.state_on(await self._lines.read(end, session), session)

    async def line_to(self, event: RunEvent, session: Session | None) -> HistoryLine:
        """Return the line of history that ends with *event*, with all its parts."""
        return await self._lines.read(LineEnd.of(event), session, whole=True)

    async def state_on(self, line: HistoryLine, session: Session | None) -> RunState:
        """Return the state at the end of *line*, which must not be empty; see ``state_after``."""
        try:
            return await self._fold(line, session)
        except _GapError as gap:
            if session is not None:
                raise _lost(line.run, gap) from gap

        # Right after an election a primary may not know yet what a majority has. In a transaction, which reads a
        # snapshot of the majority, it does.
        async def body(session: Session) -> RunState:
            return await self._fold(await self._lines.read(line.end, session), session)

        try:
            return await self._connection.transaction(body)
        except _GapError as gap:
            # A deletion of the run takes events away, too; then the run is gone, and nothing is lost.
            await self._run_lock.check_run(line.run.id, line.run.owner_id)
            raise _lost(line.run, gap) from gap

    async def _fold(self, line: HistoryLine, session: Session | None) -> RunState:
        """Return the state at the end of *line*, and leave snapshots on the way.

        Raises:
            _GapError: An event is missing.
        """
        state, stored = line.start, line.start.seq
        page: Sequence[RunEvent] = line.page
        saved: set[str] = set()
        while True:
            _check_dense(line.lineage, state.seq, page)
            state = fold_events(page, state)
            if session is None and state.seq - stored >= SNAPSHOT_EVERY:
                saved.add(await self._snapshots.save_state(line.run, line.lineage, state))
                stored = state.seq
            if next_seq(line.lineage, state.seq) is None:
                break
            page = await self._page(line, state.seq, session)
        for branch_id in saved:
            await self._snapshots.thin_out(line.run, branch_id)
        return state

    async def _page(self, line: HistoryLine, after: int, session: Session | None) -> list[RunEvent]:
        """Return a page of the events on *line* behind the number *after*, in order."""
        wanted = EventFilter(after=after, before=page_end(line.lineage, after, PAGE_EVENTS) + 1)
        return await self.events_on(line.run, line.lineage, wanted, limit=PAGE_EVENTS, session=session)


def _check_dense(lineage: Sequence[BranchSegment], after: int, events: Sequence[RunEvent]) -> None:
    """Check that *events* are the first page of *lineage* behind the number *after*.

    Raises:
        _GapError: One is missing.
    """
    seq, ends = after, page_end(lineage, after, PAGE_EVENTS)
    for event in events:
        if event.seq != (expected := next_seq(lineage, seq)):
            raise _GapError(expected)
        seq = event.seq
    if seq < ends:
        raise _GapError(next_seq(lineage, seq))


def _lost(run: Run, gap: _GapError) -> ConflictError:
    return ConflictError(RUN, run.id, f"event {gap.seq} is missing from its log; restore it from a backup")
