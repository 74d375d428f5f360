"""Forks of a run: a new branch, the run pointed at it, and the event with the reason, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from appdb._driver import Collection, DuplicateKeyError, RawDocument, Session
from appdb._queries import branches as queries
from appdb._queries import events as event_queries
from appdb._queries import workflow_runs as run_queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.events import DbEventType as E
from appdb.models.bounds import Name, accept
from appdb.models.branches import Branch, BranchSegment
from appdb.models.events import EventFilter, NewRunEvent, RunEvent
from appdb.models.run_state import RunState
from appdb.models.workflow_runs import Run
from appdb.run_lock import RUN, RunLock
from appdb.runs.appends import says_the_same, subject_of, weight_of
from appdb.runs.event_rows import insert_events
from appdb.runs.fold import EMPTY, fold_events
from appdb.runs.fork_points import AtBeginning, AtEnd, AtEvent, AtInteraction, BeforeFirst, ForkRequest, Point
from appdb.runs.lines import HistoryLine
from appdb.runs.reader import RunReader
from appdb.runs.size_limits import MAX_LINEAGE
from appdb.runs.snapshots import Snapshots
from appdb.runs.transitions import BRANCH_REASONS, position_changes


class RunForker:
    """Makes branches and points runs at them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._run_lock = RunLock(connection)
        self._reader = RunReader(connection)
        self._snapshots = Snapshots(connection)
        self._branches = connection.collection(collections.BRANCHES)
        self._events = connection.collection(collections.EVENTS)

    async def fork_run(self, fork: ForkRequest, session: Session | None) -> Branch:
        """Make the branch that *fork* asks for, or return it when an earlier call has made it."""
        accept(Name, fork.branch_id, "new_branch_id")
        weight_of(fork.event)
        subject_of(fork.event)

        if session is None:
            # Fold first, outside of the transaction: this leaves snapshots, so a long history is not folded within it.
            await self._reader.current_state(fork.run_id, fork.owner_id, None)

        async def body(session: Session) -> Branch:
            try:
                # While the run is where the caller has left it, no earlier call can have made the branch.
                run = await self._run_lock.lock(fork.run_id, fork.owner_id, session, branch_id=fork.current)
            except ConflictError:
                match = queries.of_run(fork.run_id, fork.owner_id, fork.branch_id)
                if (made := await self._branches.find_one(match, session=session)) is None:
                    raise
                await self._check_same(Branch.from_document(made), fork, session)
                return Branch.from_document(made)
            return await self._fork(run, fork, session)

        return await self._connection.joined(body, session)

    async def _check_same(self, made: Branch, fork: ForkRequest, session: Session) -> None:
        """Check that an earlier call of *fork* has made the branch, and no other one."""
        match = event_queries.numbered(made.run_id, made.owner_id, made.lineage[-1].first_seq)
        first = await self._events.find_one(match, session=session)
        if first is None:
            return
        why = RunEvent.from_document(first)
        # The fork is repeated with its own id; the same id with another reason, branch or place is a mistake.
        same = says_the_same(why, fork.event, subject_of(fork.event), told=TOLD)
        left = why.data.get("previous_branch_id") == fork.current
        behind = not isinstance(fork.point, AtEvent) or why.data.get("cutoff_seq") == fork.point.seq
        if not (same and left and behind):
            raise ConflictError("branch", made.id, "its id is taken by another fork; make a new id")

    async def _fork(self, run: Run, fork: ForkRequest, session: Session) -> Branch:
        line = await self._line(run, fork.point, session)
        if line is None:
            return await self.begin_branch(run, [], EMPTY, fork.branch_id, fork.event, session)
        state = await self._reader.state_on(line, session)
        return await self.begin_branch(run, line.lineage, state, fork.branch_id, fork.event, session)

    async def begin_branch(
        self,
        run: Run,
        lineage: Sequence[BranchSegment],
        state: RunState,
        branch_id: str,
        event: NewRunEvent,
        session: Session,
    ) -> Branch:
        """Write a branch that goes on from *lineage*, which led to *state*; the caller holds the run lock."""
        # The next number of the run: numbers go on over branches, so one number names one event of a run.
        new = BranchSegment(branch_id=branch_id, first_seq=run.event_count)
        if len(lineage) >= MAX_LINEAGE:
            raise ConflictError(RUN, run.id, f"its history has {MAX_LINEAGE} forks in a row; begin a new run")
        told = replace(event, data={**event.data, **_told(run, lineage)})
        subject = subject_of(told)
        after = state.position.model_copy(update=position_changes(subject))
        moved = run_queries.move_to_branch(branch_id, run.event_count + 1, after)
        await self._run_lock.change_run({"_id": run.id}, moved, session)
        branch = await insert_branch(self._branches, run, [*lineage, new], session)
        first = await insert_events(self._events, run, branch_id, run.event_count, [(told, subject)], session)
        if lineage:
            # However many forks a line has, the states of a branch are read without looking at those before it.
            await self._snapshots.save_state(run, [new], fold_events(first, state), session)
        return branch

    async def _line(self, run: Run, point: Point, session: Session) -> HistoryLine | None:
        """Return the line of history that the new branch goes on from, ``None`` for none."""
        match point:
            case AtBeginning():
                return None
            case AtEvent(seq=seq):
                return await self._behind(await self._numbered(run, seq, session), session)
            case AtInteraction(interaction_id=interaction_id):
                return await self._behind(await self._request(run, interaction_id, session), session)
            case AtEnd(branch_id=branch_id):
                return await self._at_end(run, branch_id, session)
            case BeforeFirst():
                return await self._before(run, point, session)

    async def _numbered(self, run: Run, seq: int, session: Session) -> RunEvent:
        found = await self._events.find_one(event_queries.numbered(run.id, run.owner_id, seq), session=session)
        if found is None:
            raise NotFoundError(f"event of run {run.id}", str(seq))
        return RunEvent.from_document(found)

    async def _request(self, run: Run, interaction_id: str, session: Session) -> RunEvent:
        match = event_queries.of_interactions(run.id, run.owner_id, [interaction_id], [E.INTERACTION_REQUESTED])
        found = await self._events.find_one(match, sort=event_queries.NEWEST_FIRST, session=session)
        if found is None:
            raise NotFoundError(f"interaction of run {run.id}", interaction_id)
        return RunEvent.from_document(found)

    async def _behind(self, event: RunEvent, session: Session) -> HistoryLine:
        return await self._reader.line_to(event, session)

    async def _before(self, run: Run, point: BeforeFirst, session: Session) -> HistoryLine:
        lineage = await self._reader.lineage_of(run, run.branch_id, session)
        first = await self._first(run, lineage, point, session)
        # Events that only give a branch's reason are left out, so that repeated jumps do not lengthen the lineage.
        kept = EventFilter(before=first.seq, without=BRANCH_REASONS)
        before = await self._reader.events_on(run, lineage, kept, limit=1, session=session, newest=True)
        return await self._behind(before[0], session)

    async def _at_end(self, run: Run, branch_id: str, session: Session) -> HistoryLine:
        if branch_id == run.branch_id:
            raise ConflictError("branch", branch_id, "the run's events go to it already; read its state again")
        lineage = await self._reader.lineage_of(run, branch_id, session)
        # Where a run was only returned to and left again, what it was returned to does not get longer.
        kept = EventFilter(without=[E.BRANCH_SWITCHED])
        last = await self._reader.events_on(run, lineage, kept, limit=1, session=session, newest=True)
        return await self._behind(last[0], session)

    async def _first(
        self, run: Run, lineage: Sequence[BranchSegment], point: BeforeFirst, session: Session
    ) -> RunEvent:
        if point.module is None:
            wanted = EventFilter(types=[E.STEP_STARTED], step=point.step)
        else:
            wanted = EventFilter(module=point.module, step=point.step)
        found = await self._reader.events_on(run, lineage, wanted, limit=1, session=session)
        if not found:
            what = f"step of run {run.id}" if point.module is None else f"module of step {point.step} of run {run.id}"
            raise NotFoundError(what, point.module or point.step)
        return found[0]


TOLD = ("previous_branch_id", "cutoff_seq")
"""Names that the log adds to the data of the event that begins a branch."""


def _told(run: Run, lineage: Sequence[BranchSegment]) -> dict[str, str | int | None]:
    return {"previous_branch_id": run.branch_id, "cutoff_seq": lineage[-1].cutoff_seq if lineage else None}


async def insert_branch(branches: Collection, run: Run, lineage: Sequence[BranchSegment], session: Session) -> Branch:
    """Write the branch that *lineage* ends with; the run has the server's time.

    Raises:
        ConflictError: Its id is taken; the transaction is lost.
    """
    row: RawDocument = {
        "_id": lineage[-1].branch_id,
        "run_id": run.id,
        "owner_id": run.owner_id,
        "lineage": [part.model_dump() for part in lineage],
        "created_at": run.updated_at,
        "deleting": False,
    }
    try:
        await branches.insert_one(row, session=session)
    except DuplicateKeyError as exc:
        raise ConflictError("branch", row["_id"], "its id is taken; make a new id") from exc
    return Branch.from_document(row)
