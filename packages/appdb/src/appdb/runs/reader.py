"""Run reading: the lineage of a branch, the events on it, and the state that is folded from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from appdb._driver import Session
from appdb._queries import branches as branch_queries
from appdb._queries import events as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.bounds import at_most
from appdb.models.branches import Branch, BranchSegment
from appdb.models.events import EventFilter, RunEvent
from appdb.models.run_state import RunState
from appdb.models.workflow_runs import Run
from appdb.run_lock import RUN, RunLock
from appdb.runs.compact import expand, named_events
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
        """Return the owner's run and its state; two round trips, unless the run was never read for long."""
        line = await self._lines.read(run_id, owner_id, None, None, session)
        return line.run, await self.state_on(line, session)

    async def state_at(
        self, run_id: str, owner_id: str, branch_id: str | None, seq: int, session: Session | None
    ) -> RunState:
        """Return the state after an event of a branch's line of history, the current branch by default.

        Raises:
            NotFoundError: The owner has no such run or branch, or the line no such event.
            ConflictError: An event is missing, which nothing here can mend.
        """
        line = await self._lines.read(run_id, owner_id, branch_id, seq, session)
        try:
            if line.lineage:
                return await self._fold(line, session)
        except _GapError:
            # Either the event is on another branch, or one before it is missing.
            pass
        if not line.lineage or not await self._has(line, seq, session):
            await self._run_lock.check_run(run_id, owner_id, session)
            raise NotFoundError(f"event of run {run_id}", str(seq))
        return await self.state_on(line, session)

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
        found = self._events.find(match, session=session).sort(order).limit(at_most(limit))
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

    async def state_after(self, run: Run, lineage: Sequence[BranchSegment], session: Session | None) -> RunState:
        """Return the state at the end of *lineage*, which must be cut off.

        Raises:
            NotFoundError: The run is being deleted.
            ConflictError: An event is missing, which nothing here can mend.
        """
        snapshot = await self._lines.newest_snapshot(run, lineage, session)
        return await self.state_on(HistoryLine(run=run, lineage=lineage, snapshot=snapshot), session)

    async def line_to(self, event: RunEvent, session: Session | None) -> HistoryLine:
        """Return the line of history that ends with *event*."""
        return await self._lines.read(event.run_id, event.owner_id, event.branch_id, event.seq, session)

    async def state_on(self, line: HistoryLine, session: Session | None) -> RunState:
        """Return the state at the end of *line*; see ``state_after``."""
        try:
            return await self._fold(line, session)
        except _GapError as gap:
            if session is not None:
                raise _lost(line.run, gap) from gap

        # Right after an election a primary may not know yet what a majority has. In a transaction, which reads a
        # snapshot of the majority, it does.
        async def body(session: Session) -> RunState:
            return await self._fold(line, session)

        try:
            return await self._connection.transaction(body)
        except _GapError as gap:
            # A deletion of the run takes events away, too; then the run is gone, and nothing is lost.
            await self._run_lock.check_run(line.run.id, line.run.owner_id)
            raise _lost(line.run, gap) from gap

    async def _fold(self, line: HistoryLine, session: Session | None) -> RunState:
        state = await self._first_page(line, session)
        stored = -1 if line.snapshot is None else line.snapshot.seq
        saved: set[str] = set()
        while True:
            if session is None and state.seq - stored >= SNAPSHOT_EVERY:
                saved.add(await self._snapshots.save_state(line.run, line.lineage, state))
                stored = state.seq
            if next_seq(line.lineage, state.seq) is None:
                break
            state = fold_events(await self._page(line, state.seq, (), session), state)
        for branch_id in saved:
            await self._snapshots.thin_out(line.run, branch_id)
        return state

    async def _first_page(self, line: HistoryLine, session: Session | None) -> RunState:
        """Return the state after the first page of events behind the snapshot, which come with those that it names."""
        if line.snapshot is None:
            return fold_events(await self._page(line, -1, (), session))
        stored = line.snapshot.state
        named = named_events(stored)
        rows = await self._page(line, stored.seq, named, session)
        kept = {event.id: event for event in rows if event.seq <= stored.seq}
        if named != kept.keys():
            # The events hold the data that the snapshot left out; without one of them it cannot be made whole.
            return await self._first_page(replace(line, snapshot=None), session)
        return fold_events([event for event in rows if event.seq > stored.seq], expand(stored, kept))

    async def _page(
        self, line: HistoryLine, after: int, named: Collection[str], session: Session | None
    ) -> list[RunEvent]:
        """Return the events *named*, and a page of those on *line* behind the number *after*, in order.

        Raises:
            _GapError: One of the page is missing.
        """
        # By numbers, not by a limit: what is named may lie anywhere before, so the server could not sort by an index.
        ends = page_end(line.lineage, after, PAGE_EVENTS)
        match = queries.on_lineage(
            line.run.id, line.run.owner_id, line.lineage, EventFilter(after=after, before=ends + 1)
        )
        if named:
            match = queries.either(match, queries.by_ids(line.run.id, line.run.owner_id, named))
        if match is None:
            return []
        found = self._events.find(match, session=session).batch_size(PAGE_EVENTS + len(named) + 1)
        events = sorted([RunEvent.from_document(row) async for row in found], key=lambda event: event.seq)
        _check_dense(line.lineage, after, ends, [event for event in events if event.seq > after])
        return events


def _check_dense(lineage: Sequence[BranchSegment], after: int, ends: int, events: Sequence[RunEvent]) -> None:
    """Check that *events* are all of *lineage* behind the number *after*, up to *ends*.

    Raises:
        _GapError: They are not.
    """
    seq = after
    for event in events:
        if event.seq != (expected := next_seq(lineage, seq)):
            raise _GapError(expected)
        seq = event.seq
    if seq < ends:
        raise _GapError(next_seq(lineage, seq))


def _lost(run: Run, gap: _GapError) -> ConflictError:
    return ConflictError(RUN, run.id, f"event {gap.seq} is missing from its log; restore it from a backup")
