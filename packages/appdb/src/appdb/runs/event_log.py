"""The event log of a run: appends events with dense numbers, and sets the run's caches in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appdb._driver import BulkWriteError, RawDocument, Session, refused
from appdb._queries import events as queries
from appdb._queries import workflow_runs as run_queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, InvalidDataError, NotFoundError, TooLargeError
from appdb.models.bounds import accept
from appdb.models.events import NewRunEvent, RunEvent
from appdb.models.workflow_runs import Run
from appdb.reading import page_of
from appdb.run_lock import RUN, RunLock, moved_on
from appdb.runs.preconditions import Preconditions, preconditions, unmet
from appdb.runs.reserved_data import check_reserved
from appdb.runs.size_limits import MAX_APPEND_BYTES, MAX_APPEND_EVENTS, MAX_RUN_EVENT_BYTES, MAX_STEP_NAME_CHARACTERS
from appdb.runs.transitions import EventSubject, position_changes
from appdb.runs.writer_line import WriterLine, lock_or_busy
from appdb.size_limits import DUPLICATE_KEY, check_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Checked events that are ready to be appended to one branch of a run."""

    run_id: str
    owner_id: str
    branch_id: str
    expected_seq: int | None
    events: Sequence[NewRunEvent]
    subjects: Sequence[EventSubject]
    preconditions: Preconditions

    @property
    def changes(self) -> dict[str, Any]:
        """The fields of the run's position that the events set."""
        return {name: value for subject in self.subjects for name, value in position_changes(subject).items()}


class EventLog:
    """Appends events to the logs of runs.

    The run's document counts its events, so a number is never given twice and none is left out (decision 0008).
    """

    def __init__(self, connection: Connection) -> None:
        self._writer_line = WriterLine(connection)
        self._run_lock = RunLock(connection)
        self._events = connection.collection(collections.EVENTS)

    async def append_events(self, append: Append, session: Session | None) -> list[RunEvent]:
        """Append the events; a repeated call returns what the first one stored."""
        if session is not None:
            # Look first: an insert that meets a taken id aborts the caller's whole transaction.
            return await self._stored(append, session) or await self._append(append, session)

        async def body(session: Session) -> list[RunEvent]:
            return await self._append(append, session, alone=True)

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

    async def _append(self, append: Append, session: Session, *, alone: bool = False) -> list[RunEvent]:
        needed = append.preconditions
        match = run_queries.on_branch(append.run_id, append.owner_id, append.branch_id) | run_queries.ready(
            expected_seq=append.expected_seq,
            ended=needed.ended,
            interaction_id=needed.interaction_id,
            free=needed.free,
            in_step=needed.in_step,
        )
        update = run_queries.advance(len(append.events), append.changes)
        change = self._run_lock.change_run(match, update, session)
        # A write conflict in a caller's transaction is left to the caller, who began it and repeats it as a whole.
        run = await (lock_or_busy(change) if alone else change)
        if run is None:
            raise await self._refusal(append, session)
        first = run.event_count - len(append.events)
        return await self.insert_events(
            run, run.branch_id, first, list(zip(append.events, append.subjects, strict=True)), session
        )

    async def insert_events(
        self, run: Run, branch_id: str, first: int, events: Sequence[tuple[NewRunEvent, EventSubject]], session: Session
    ) -> list[RunEvent]:
        """Write *events* with numbers from *first* on, which the caller has counted in *run*.

        Raises:
            ConflictError: An id is taken; the transaction is lost.
        """
        # After the run itself, in the same transaction: a number exists only together with its event, so there is no
        # gap for readers who ask for what comes after a number (decision 0008).
        rows = [_row(run, branch_id, first + offset, *event) for offset, event in enumerate(events)]
        try:
            await self._events.insert_many(rows, session=session)
        except BulkWriteError as exc:
            if DUPLICATE_KEY not in refused(exc).values():
                raise
            problem = "its id is taken by another event; make a new id"
            raise ConflictError("event", events[0][0].event_id, problem) from exc
        return [RunEvent.from_document(row) for row in rows]

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
        return ConflictError(RUN, run.id, _problem(run, append))


def _problem(run: Run, append: Append) -> str:
    if run.branch_id != append.branch_id:
        return moved_on(run.branch_id)
    if append.expected_seq not in (None, run.event_count):
        return f"its log has {run.event_count} events, not {append.expected_seq}; read its state again"
    return unmet(append.preconditions, run.position) or "it changed meanwhile; read its state again"


def checked_append(
    run_id: str, owner_id: str, branch_id: str, expected_seq: int | None, events: Sequence[NewRunEvent]
) -> Append:
    """Return *events* ready to be appended.

    Raises:
        InvalidDataError: There is none, one lacks what its type needs, or they contradict each other.
        TooLargeError: One or all of them are over the limit.
    """
    if not 1 <= len(events) <= MAX_APPEND_EVENTS:
        raise InvalidDataError("events", f"give 1 to {MAX_APPEND_EVENTS:,} in one call")
    size = sum(weight_of(event) for event in events)
    if size > MAX_APPEND_BYTES:
        raise TooLargeError("events", size, MAX_APPEND_BYTES)
    subjects = [subject_of(event) for event in events]
    return Append(
        run_id=run_id,
        owner_id=owner_id,
        branch_id=branch_id,
        expected_seq=expected_seq,
        events=events,
        subjects=subjects,
        preconditions=preconditions(subjects),
    )


def weight_of(event: NewRunEvent) -> int:
    """Check that *event* can be stored, and return what its data weighs, in bytes.

    Raises:
        InvalidDataError: A part of it cannot be stored.
        TooLargeError: Its data is over the limit.
    """
    accept(NewRunEvent, event)
    return check_size(f"{event.type} event", event.data, MAX_RUN_EVENT_BYTES)


def says_the_same(stored: RunEvent, event: NewRunEvent, subject: EventSubject, told: Collection[str] = ()) -> bool:
    """Return whether *event* equals what was *stored*, apart from the names in *told*, which the log adds itself."""
    if (stored.type, stored.step, stored.module, stored.interaction_id) != (
        subject.type,
        subject.step,
        subject.module,
        subject.interaction_id,
    ):
        return False
    return _as_json(event.data) == _as_json({name: stored.data[name] for name in stored.data if name not in told})


def _as_json(data: Mapping[str, Any]) -> str:
    # Compared as text: for Python 1, 1.0 and True are equal, for a reader of the event they are not.
    return json.dumps(data, sort_keys=True)


def subject_of(event: NewRunEvent) -> EventSubject:
    """Return the subject of *event*, its names checked."""
    subject = EventSubject.of(event)
    check_reserved(event)
    for name in ("step", "module", "interaction_id"):
        check_name(name, getattr(subject, name))
    return subject


def check_name(field: str, name: str | None) -> None:
    """Check that a *name* fits into an index.

    Raises:
        InvalidDataError: It is too long, or cannot be stored.
    """
    if name is None:
        return
    check_size(field, {field: name}, 8 * MAX_STEP_NAME_CHARACTERS)
    if not 1 <= len(name) <= MAX_STEP_NAME_CHARACTERS:
        raise InvalidDataError(field, f"give 1 to {MAX_STEP_NAME_CHARACTERS:,} characters")


def _row(run: Run, branch_id: str, seq: int, event: NewRunEvent, subject: EventSubject) -> RawDocument:
    return {
        "_id": event.event_id,
        "run_id": run.id,
        "owner_id": run.owner_id,
        "branch_id": branch_id,
        "seq": seq,
        "type": event.type.value,
        "step": subject.step,
        "module": subject.module,
        "interaction_id": subject.interaction_id,
        "version_id": run.version_id,
        "data": dict(event.data),
        "created_at": run.updated_at,
    }
