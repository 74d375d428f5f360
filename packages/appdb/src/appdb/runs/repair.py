"""Run repair: compares a run's caches with its events and mends them in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from appdb._driver import Session
from appdb._queries import events as event_queries
from appdb._queries import workflow_runs as queries
from appdb._queries.run_reads import LineEnd
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError
from appdb.events import DbEventType
from appdb.models.branches import BranchSegment
from appdb.models.events import NewRunEvent, RunEvent
from appdb.models.recovery import Disagreement, Recovery
from appdb.models.run_state import RunState
from appdb.models.vocabulary import is_known
from appdb.models.workflow_runs import Run
from appdb.run_lock import RUN, RunLock
from appdb.runs.diagnosis import diagnose
from appdb.runs.fork import RunForker
from appdb.runs.lineage import truncated
from appdb.runs.reader import RunReader
from appdb.utils import uuid7_str


class RunRepair:
    """Compares and mends runs; the events win."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._run_lock = RunLock(connection)
        self._reader = RunReader(connection)
        self._forker = RunForker(connection)
        self._events = connection.collection(collections.EVENTS)

    async def repair_run(
        self, run_id: str, owner_id: str, steps: Collection[str], session: Session | None, *, dry_run: bool
    ) -> Recovery:
        """Compare, and mend unless *dry_run*; see ``RecoveryMixin.recover_run``."""
        branch_id = uuid7_str("br_")

        async def body(session: Session) -> Recovery:
            # While we hold the run lock no writer is half-way, so a disagreement seen now is real.
            if dry_run:
                run = await self._run_lock.find_run(run_id, owner_id, session)
            else:
                run = await self._run_lock.lock(run_id, owner_id, session)
            return await self._look(run, steps, None if dry_run else branch_id, session)

        return await self._connection.joined(body, session)

    async def _look(self, run: Run, steps: Collection[str], branch_id: str | None, session: Session) -> Recovery:
        newest = await self._newest(run, session)
        # Events go to the current branch alone, so the newest event shows which branch that is.
        true = run.model_copy(update={"event_count": newest.seq + 1, "branch_id": newest.branch_id})
        lineage = await self._reader.lineage_of(true, true.branch_id, session)
        state = await self._reader.state_after(_end_of(true, lineage), session)
        _check_known(run, state)
        found = diagnose(run, state, newest, steps)
        if any(disagreement.forks for disagreement in found):
            return await self._fork(run, true, lineage, state, found, branch_id, session)
        if found and branch_id is not None:
            await self._run_lock.change_run({"_id": run.id}, queries.rebuild(newest.seq + 1, state.position), session)
        return _result(run, state, found, None, None, applied=bool(found) and branch_id is not None)

    async def _newest(self, run: Run, session: Session) -> RunEvent:
        match = event_queries.log(run.id, run.owner_id, -1)
        newest = await self._events.find_one(match, sort=event_queries.NEWEST_FIRST, session=session)
        if newest is None:
            raise ConflictError(RUN, run.id, "its log is empty; restore it from a backup, or delete the run")
        return RunEvent.from_document(newest)

    async def _fork(
        self,
        run: Run,
        true: Run,
        lineage: list[BranchSegment],
        state: RunState,
        found: tuple[Disagreement, ...],
        branch_id: str | None,
        session: Session,
    ) -> Recovery:
        stable = truncated(lineage, state.stable_seq)
        settled = await self._reader.state_after(_end_of(true, stable), session)
        if branch_id is not None:
            event = NewRunEvent(type=DbEventType.WORKFLOW_RECOVERED, data={"reasons": [str(name) for name in found]})
            await self._forker.begin_branch(true, stable, settled, branch_id, event, session)
        return _result(run, settled, found, state.stable_seq, branch_id, applied=branch_id is not None)


def _end_of(run: Run, lineage: Sequence[BranchSegment]) -> LineEnd:
    last = lineage[-1]
    return LineEnd(run_id=run.id, owner_id=run.owner_id, branch_id=last.branch_id, seq=last.cutoff_seq)


def _check_known(run: Run, state: RunState) -> None:
    """Check that this release knows all words of the run and its events.

    Raises:
        ConflictError: A newer release has written what this one passes over.
    """
    unknown = state.unknown_type or (None if is_known(run.status) else run.status.value)
    if unknown is not None:
        problem = f"this release does not know its {unknown!r}; recover it with the release that wrote it"
        raise ConflictError(RUN, run.id, problem)


def _result(
    run: Run,
    state: RunState,
    found: tuple[Disagreement, ...],
    cutoff_seq: int | None,
    branch_id: str | None,
    *,
    applied: bool,
) -> Recovery:
    return Recovery(
        run_id=run.id,
        disagreements=found,
        cached_status=run.status,
        status=state.status,
        previous_branch_id=run.branch_id,
        cutoff_seq=cutoff_seq,
        new_branch_id=branch_id,
        applied=applied,
    )
