"""The event log of a run: appends events with dense numbers, and sets the run's caches in the same transaction."""

from __future__ import annotations

from appdb._driver import Session
from appdb._queries import branches as branch_queries
from appdb._queries import events as queries
from appdb._queries import workflow_runs as run_queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.events import DbEventType
from appdb.models.branches import Branch
from appdb.models.events import RunEvent
from appdb.models.workflow_runs import Run
from appdb.reading import page_of
from appdb.run_lock import RUN, RunLock, moved_on
from appdb.runs.appends import Append, says_the_same
from appdb.runs.event_rows import insert_events
from appdb.runs.lineage import counts
from appdb.runs.preconditions import unmet
from appdb.runs.succession import RunSuccession
from appdb.runs.transitions import SETTLES
from appdb.runs.writer_line import WriterLine, lock_or_busy

ABOUT = frozenset({DbEventType.INTERACTION_REQUESTED, *SETTLES})
"""Types of the events about an interaction."""
CHANGED = "it changed meanwhile; read its state again"
MOST_OF_INTERACTION = 500
"""Events about one interaction that are read; each branch that goes back to it has another two."""


class EventLog:
    """Appends events to the logs of runs.

    The run's document counts its events, so a number is never given twice and none is left out (decision 0008).
    """

    def __init__(self, connection: Connection) -> None:
        self._writer_line = WriterLine(connection)
        self._run_lock = RunLock(connection)
        self._succession = RunSuccession(connection)
        self._events = connection.collection(collections.EVENTS)
        self._branches = connection.collection(collections.BRANCHES)

    async def append_events(self, append: Append, session: Session | None) -> list[RunEvent]:
        """Append the events; a repeated call returns what the first one stored."""
        if session is not None:
            return await self._append_joined(append, session)

        async def body(session: Session) -> list[RunEvent]:
            # A write conflict in a caller's transaction is left to the caller, who began it and repeats it as a whole.
            run = await lock_or_busy(self._counted(append, session))
            if run is None:
                raise await self._refusal(append, session)
            return await self._insert(append, run, session)

        try:
            return await self._writer_line.in_line(append.run_id, body)
        except ConflictError:
            # An earlier try of the same call may have been applied while only its answer was lost.
            if stored := await self._stored(append, None):
                return stored
            raise

    async def find_event(self, event_id: str, owner_id: str, session: Session | None) -> RunEvent:
        """Return the owner's event."""
        found = await self._events.find_one(queries.owned(event_id, owner_id), session=session)
        if found is None:
            raise NotFoundError("event", event_id)
        await self._run_lock.check_run(found["run_id"], owner_id, session)
        return RunEvent.from_document(found)

    async def events_after(
        self, run_id: str, owner_id: str, after: int, limit: int, session: Session | None
    ) -> list[RunEvent]:
        """Return a run's events of all branches with a number above *after*, in order."""
        found = self._events.find(queries.log(run_id, owner_id, after), session=session)
        log = await page_of(RunEvent.from_document, found.sort(queries.OLDEST_FIRST), limit)
        await self._run_lock.check_run(run_id, owner_id, session)
        return log

    async def events_of_interaction(
        self, run_id: str, owner_id: str, interaction_id: str, session: Session | None
    ) -> list[RunEvent]:
        """Return the events about an interaction, on whichever branch, in order."""
        found = self._events.find(queries.of_interactions(run_id, owner_id, [interaction_id], ABOUT), session=session)
        events = await page_of(RunEvent.from_document, found.sort(queries.OLDEST_FIRST), MOST_OF_INTERACTION)
        await self._run_lock.check_run(run_id, owner_id, session)
        return events

    async def _append_joined(self, append: Append, session: Session) -> list[RunEvent]:
        # An insert that meets a taken id aborts the caller's whole transaction, so look first; but not where the
        # number of the first event is given: then the run itself tells whether the call is repeated.
        numbered = append.after.seq is not None
        if not numbered and (stored := await self._stored(append, session)):
            return stored
        run = await self._counted(append, session)
        if run is not None:
            return await self._insert(append, run, session)
        if append.after.updated_at is not None:
            # The caller has read the run, and will read it again to learn why.
            raise ConflictError(RUN, append.run_id, CHANGED)
        if numbered and (stored := await self._stored(append, session)):
            return stored
        raise await self._refusal(append, session)

    async def _counted(self, append: Append, session: Session) -> Run | None:
        """Lock the run, count the events in it and return it; ``None`` when it does not allow them."""
        needed = append.preconditions
        match = run_queries.on_branch(append.run_id, append.owner_id, append.branch_id) | run_queries.ready(
            expected_seq=append.after.seq,
            updated_at=append.after.updated_at,
            ended=needed.ended,
            interaction_id=needed.interaction_id,
            free=needed.free,
            in_step=needed.in_step,
        )
        update = run_queries.advance(len(append.events), append.changes)
        return await self._run_lock.change_run(match, update, session)

    async def _insert(self, append: Append, run: Run, session: Session) -> list[RunEvent]:
        first = run.event_count - len(append.events)
        events = list(zip(append.events, append.subjects, strict=True))
        stored = await insert_events(self._events, run, run.branch_id, first, events, session)
        if append.hands_over and run.status.closed and run.parent_id is None:
            await self._succession.begin_next(run.owner_id, run.project, session)
        return stored

    async def _stored(self, append: Append, session: Session | None) -> list[RunEvent]:
        """Return the events if an earlier call has stored them, else nothing.

        Raises:
            ConflictError: An id is that of an event which says something else.
        """
        match = queries.by_ids(append.run_id, append.owner_id, [event.event_id for event in append.events])
        found = {row["_id"]: RunEvent.from_document(row) async for row in self._events.find(match, session=session)}
        for event, subject in zip(append.events, append.subjects, strict=True):
            stored = found.get(event.event_id)
            # On another branch the same event says something else.
            if stored is None or (stored.branch_id == append.branch_id and says_the_same(stored, event, subject)):
                continue
            raise ConflictError("event", event.event_id, "it is stored and says something else; make a new id")
        return [found[event.event_id] for event in append.events] if len(found) == len(append.events) else []

    async def _refusal(self, append: Append, session: Session) -> NotFoundError | ConflictError:
        run = await self._run_lock.find_run(append.run_id, append.owner_id, session)
        asked = append.preconditions.interaction_id
        if asked is not None and run.branch_id == append.branch_id and run.position.interaction_id != asked:
            # Whoever answers too late learns which answer counts.
            accepted = await self._settling(run, asked, session)
            if accepted is not None:
                problem = (
                    f"interaction {asked!r} is settled by event {accepted.id} ({accepted.type}); read its state again"
                )
                return ConflictError(RUN, run.id, problem, accepted=accepted.id)
        return ConflictError(RUN, run.id, _problem(run, append))

    async def _settling(self, run: Run, interaction_id: str, session: Session) -> RunEvent | None:
        """Return the event on the run's line of history that settled an interaction last."""
        branch = await self._branches.find_one(
            branch_queries.of_run(run.id, run.owner_id, run.branch_id), session=session
        )
        match = queries.of_interactions(run.id, run.owner_id, [interaction_id], SETTLES)
        found = self._events.find(match, session=session).sort(queries.NEWEST_FIRST)
        settling = [RunEvent.from_document(row) async for row in found]
        lineage = [] if branch is None else Branch.from_document(branch).lineage
        return next((event for event in settling if counts(lineage, event)), None)


def _problem(run: Run, append: Append) -> str:
    if run.branch_id != append.branch_id:
        return moved_on(run.branch_id)
    if append.after.seq not in (None, run.event_count):
        return f"its log has {run.event_count} events, not {append.after.seq}; read its state again"
    return unmet(append.preconditions, run.position) or CHANGED
