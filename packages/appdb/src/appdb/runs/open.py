"""Run opening: finds the project's open run, or makes one with its first branch and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from appdb._driver import AFTER, DuplicateKeyError, RawDocument, Session, notes_of
from appdb._queries import events as event_queries
from appdb._queries import workflow_runs as queries
from appdb._queries import workflow_templates as template_queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, InvalidDataError, NotFoundError
from appdb.events import DbEventType as E
from appdb.models.bounds import Name, accept
from appdb.models.branches import BranchSegment
from appdb.models.events import NewRunEvent, RunEvent
from appdb.models.workflow_runs import NewRun, Position, Run
from appdb.queue.task_document import check_new_task
from appdb.run_lock import RUN, RunLock
from appdb.runs.appends import KnownRun, check_name, checked_append, says_the_same, subject_of
from appdb.runs.event_log import EventLog
from appdb.runs.event_rows import insert_events
from appdb.runs.fork import insert_branch
from appdb.runs.preconditions import unmet
from appdb.runs.run_versions import version_row
from appdb.runs.size_limits import MAX_RUN_EVENT_BYTES
from appdb.runs.succession import RunSuccession
from appdb.runs.transitions import EventSubject, position_changes
from appdb.size_limits import check_size
from appdb.utils import derived_id

TRIES = 5
"""Attempts to open a run while others open and close runs of the same project."""
RACED = "another run of it was opened at the same moment; begin the transaction again"


class _RacedError(Exception):
    """Another host opened a run for the same project at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FirstEvents:
    """The first events of a run, and where they lead."""

    events: Sequence[tuple[NewRunEvent, EventSubject]]
    position: Position


class RunOpener:
    """Opens runs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._run_lock = RunLock(connection)
        self._event_log = EventLog(connection)
        self._succession = RunSuccession(connection)
        self._runs = connection.collection(collections.WORKFLOW_RUNS)
        self._versions = connection.collection(collections.RUN_VERSIONS)
        self._templates = connection.collection(collections.WORKFLOW_TEMPLATES)
        self._branches = connection.collection(collections.BRANCHES)
        self._events = connection.collection(collections.EVENTS)

    async def open_run(
        self, new: NewRun, events: Sequence[NewRunEvent], owner_id: str, session: Session | None
    ) -> tuple[Run, bool]:
        """Return the run of the project, and whether this call has made it."""
        _check(new, owner_id)
        beginning = _beginning(new, events, owner_id)

        async def body(session: Session) -> tuple[Run, bool]:
            return await self._open(new, beginning, owner_id, session)

        if session is not None:
            try:
                return await body(session)
            except _RacedError as exc:
                raise ConflictError("project", new.project, RACED) from exc
        for _ in range(TRIES):
            try:
                return await self._connection.transaction(body)
            except _RacedError:
                continue
        raise ConflictError("project", new.project, "others open and close its runs all the time; try again")

    async def _open(self, new: NewRun, beginning: _FirstEvents, owner_id: str, session: Session) -> tuple[Run, bool]:
        found = await self._found(new, owner_id, session)
        if found is None:
            return await self._make(new, beginning, owner_id, session), True
        if new.on_begin is None or found.id == new.run_id:
            return found, False
        waits = await self._succession.wait_behind(found, new.run_id, new.on_begin, session)
        return await self._make(new, _waiting(new, found), owner_id, session, waits), True

    async def _found(self, new: NewRun, owner_id: str, session: Session) -> Run | None:
        """Return the run that an earlier call has made, or that is open already."""
        # A project has one open run; runs of sub-actions are not counted.
        match = queries.made_or_open(new.run_id, owner_id, new.project if new.parent_id is None else None)
        rows = await self._runs.find(match, session=session).to_list(2)
        made = next((row for row in rows if row["_id"] == new.run_id), None)
        # The same call again, after an unknown outcome: the id is the caller's.
        if made is not None:
            if made["owner_id"] != owner_id or made.get("deleting"):
                raise ConflictError(RUN, new.run_id, "its id is taken; make a new id")
            run = Run.from_document(made)
            await self._check_same(run, new, session)
            return run
        if not rows:
            return None
        run = Run.from_document(rows[0])
        if not new.fresh:
            return run
        await self._give_up(run, new, session)
        return None

    async def _give_up(self, run: Run, new: NewRun, session: Session) -> None:
        """Cancel the project's open *run*, in whose place *new* comes."""
        cancelled = NewRunEvent(
            type=E.WORKFLOW_CANCELLED,
            data={"replaced_by": new.run_id},
            event_id=derived_id("evt_", new.run_id, "replaces", run.id),
        )
        append = checked_append(run.id, run.owner_id, run.branch_id, [cancelled], KnownRun(run.event_count))
        await self._event_log.append_events(replace(append, hands_over=False), session)

    async def _check_same(self, made: Run, new: NewRun, session: Session) -> None:
        """Check that an earlier call of *new* has made the run, and no other one."""
        first = await self._events.find_one(event_queries.numbered(made.id, made.owner_id, 0), session=session)
        created = NewRunEvent(type=E.WORKFLOW_CREATED, data=new.data)
        same = first is None or says_the_same(RunEvent.from_document(first), created, subject_of(created))
        if (made.project, made.parent_id) != (new.project, new.parent_id) or not same:
            raise ConflictError(RUN, new.run_id, "its id is taken by a run of other data; make a new id")

    async def _template(self, template_id: str, owner_id: str, session: Session) -> str:
        """Return the id of a template that the owner may read; that of a duplicate gives that of the one that stayed.

        Raises:
            NotFoundError: The owner sees no such template.
        """
        # A write to the owner's own template orders its deletion before or after this. A global template is only read:
        # a write to it would make all users wait for each other.
        match, update = template_queries.owned(template_id, owner_id), template_queries.use()
        found: RawDocument | None = await self._templates.find_one_and_update(
            match, update, {"_id": 1}, session=session
        )
        if found is None:
            match = template_queries.one(template_id, owner_id)
            found = await self._templates.find_one(match, {"_id": 1}, session=session)
        if found is None:
            raise NotFoundError("workflow template", template_id)
        return str(found["_id"])

    async def _make(
        self,
        new: NewRun,
        beginning: _FirstEvents,
        owner_id: str,
        session: Session,
        waits: Mapping[str, Any] = MappingProxyType({}),
    ) -> Run:
        ancestors: list[str] = []
        if new.parent_id is not None:
            # A parent whose deletion has begun gets no children that the deletion would not see.
            parent = await self._run_lock.lock(new.parent_id, owner_id, session)
            ancestors = [*parent.ancestors, parent.id]
        template_id = None if new.template_id is None else await self._template(new.template_id, owner_id, session)
        events = beginning.events
        match, update = queries.insert(new, owner_id, template_id, ancestors, len(events), beginning.position, waits)
        try:
            row = await self._runs.find_one_and_update(
                match, update, upsert=True, return_document=AFTER, session=session
            )
        except DuplicateKeyError as exc:
            # The unique index ``runs_open`` decides which of two hosts opens the project's run.
            raise _RacedError from exc
        run = Run.from_document(row)
        notes_of(session)[run.id, run.owner_id] = run.ancestors
        root = BranchSegment(branch_id=new.branch_id, first_seq=0)
        await insert_branch(self._branches, run, [root], session)
        if new.version_id is not None:
            first = version_row(run, {"version_id": new.version_id, "capabilities": [], "requires": []}, 0)
            await self._versions.insert_one(first, session=session)
        await insert_events(self._events, run, run.branch_id, 0, events, session)
        if run.status.closed and run.parent_id is None:
            # It has ended at once, perhaps in the place of another that some wait behind.
            await self._succession.begin_next(owner_id, run.project, session)
        return run


def _check(new: NewRun, owner_id: str) -> None:
    accept(NewRun, new)
    accept(Name, owner_id, "owner_id")
    check_name("project", new.project)
    check_size("data", new.data, MAX_RUN_EVENT_BYTES)
    if new.on_begin is None:
        return
    if new.fresh or new.parent_id is not None:
        raise InvalidDataError("on_begin", "a run that is fresh, or the part of another, does not wait; leave it out")
    if new.on_begin.owner_id != owner_id:
        raise InvalidDataError("on_begin", "it must have the same owner as the run")
    if new.on_begin.unique_key is not None:
        raise InvalidDataError("on_begin", "it has no unique_key: a taken one would undo the end of another run")
    check_new_task(new.on_begin)


def _waiting(new: NewRun, open_run: Run) -> _FirstEvents:
    """Return the first events of a run that waits behind *open_run*."""
    waiting = NewRunEvent(
        type=E.WORKFLOW_WAITING, data={"behind": open_run.id}, event_id=derived_id("evt_", new.run_id, "waits")
    )
    first, subject = _beginning(new, (), open_run.owner_id), subject_of(waiting)
    position = first.position.model_copy(update=position_changes(subject))
    return _FirstEvents(events=[*first.events, (waiting, subject)], position=position)


def _beginning(new: NewRun, events: Sequence[NewRunEvent], owner_id: str) -> _FirstEvents:
    """Return the first event of a run with those that follow it, checked.

    Raises:
        InvalidDataError: A new run could not accept them.
        TooLargeError: One or all of them are over the limit.
    """
    created = NewRunEvent(type=E.WORKFLOW_CREATED, data=new.data, event_id=new.event_id)
    first = _FirstEvents(events=[(created, subject_of(created))], position=Position())
    if not events:
        return first
    append = checked_append(new.run_id, owner_id, new.branch_id, events)
    if (problem := unmet(append.preconditions, first.position)) is not None:
        raise InvalidDataError("events of a new run", problem)
    return _FirstEvents(
        events=[*first.events, *zip(append.events, append.subjects, strict=True)],
        position=first.position.model_copy(update=append.changes),
    )
