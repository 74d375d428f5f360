"""Run reading: the lineage of a branch, the events on it, and the state that is folded from them."""

from __future__ import annotations

from collections.abc import Sequence

from appdb._driver import Session
from appdb._queries import branches as branch_queries
from appdb._queries import events as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError, UnreadableError
from appdb.models.bounds import at_most
from appdb.models.branches import Branch, BranchSegment
from appdb.models.events import EventFilter, RunEvent
from appdb.models.run_state import RunState
from appdb.models.workflow_runs import Run
from appdb.run_lock import RUN, RunLock
from appdb.runs.fold import fold_events
from appdb.runs.lineage import next_seq, truncated
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

    async def run(self, run_id: str, owner_id: str, session: Session | None) -> Run:
        """Return the owner's run."""
        return await self._run_lock.find_run(run_id, owner_id, session)

    async def current_state(self, run_id: str, owner_id: str, session: Session | None) -> tuple[Run, RunState]:
        """Return the owner's run and its state."""
        run = await self._run_lock.find_run(run_id, owner_id, session)
        lineage = await self.lineage_of(run, run.branch_id, session)
        return run, await self.state_after(run, lineage, session)

    async def lineage_of(self, run: Run, branch_id: str, session: Session | None) -> list[BranchSegment]:
        """Return the line of history of a branch of *run*, up to what *run* counts."""
        match = branch_queries.of_run(run.id, run.owner_id, branch_id)
        found = await self._branches.find_one(match, session=session)
        if found is None:
            await self._run_lock.check_run(run.id, run.owner_id, session)
            raise NotFoundError("branch", branch_id)
        lineage = Branch.from_document(found).lineage
        if branch_id != run.branch_id:
            return lineage
        if not (counting := truncated(lineage, run.event_count - 1)):
            raise UnreadableError("Branch", branch_id, f"its line of history lacks event {run.event_count - 1}")
        return counting

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
        try:
            return await self._fold(run, lineage, session)
        except _GapError as gap:
            if session is not None:
                raise _lost(run, gap) from gap

        # Right after an election a primary may not know yet what a majority has. In a transaction, which reads a
        # snapshot of the majority, it does.
        async def body(session: Session) -> RunState:
            return await self._fold(run, lineage, session)

        try:
            return await self._connection.transaction(body)
        except _GapError as gap:
            # A deletion of the run takes events away, too; then the run is gone, and nothing is lost.
            await self._run_lock.check_run(run.id, run.owner_id)
            raise _lost(run, gap) from gap

    async def _fold(self, run: Run, lineage: Sequence[BranchSegment], session: Session | None) -> RunState:
        state = await self._snapshots.newest_state(run, lineage, session)
        stored = state.seq
        while (expected := next_seq(lineage, state.seq)) is not None:
            wanted = EventFilter(after=state.seq)
            events = await self.events_on(run, lineage, wanted, limit=PAGE_EVENTS, session=session)
            _check_dense(lineage, expected, events)
            state = fold_events(events, state)
            if session is None and state.seq - stored >= SNAPSHOT_EVERY:
                await self._snapshots.save_state(run, lineage, state)
                stored = state.seq
        return state


def _check_dense(lineage: Sequence[BranchSegment], expected: int | None, events: Sequence[RunEvent]) -> None:
    if not events:
        raise _GapError(expected)
    for event in events:
        if event.seq != expected:
            raise _GapError(expected)
        expected = next_seq(lineage, event.seq)


def _lost(run: Run, gap: _GapError) -> ConflictError:
    return ConflictError(RUN, run.id, f"event {gap.seq} is missing from its log; restore it from a backup")
