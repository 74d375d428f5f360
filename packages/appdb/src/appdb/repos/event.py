"""EventRepository: the event logs of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from appdb._driver import Session, retried
from appdb._queries import events as queries
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.events import DbEventType
from appdb.models.events import EventFilter, NewRunEvent, RunEvent
from appdb.runs.appends import KnownRun, checked_append
from appdb.runs.event_log import EventLog
from appdb.runs.reader import RunReader


class EventRepository(BaseRepository):
    """Event logs of runs: append-only, with dense numbers; the run's caches are written in the same transaction."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._event_log = EventLog(connection)
        self._reader = RunReader(connection)

    @retried
    async def append(
        self,
        run_id: str,
        events: Sequence[NewRunEvent],
        *,
        owner_id: str,
        branch_id: str,
        expected_seq: int | None = None,
        unchanged_since: datetime | None = None,
        session: Session | None = None,
    ) -> list[RunEvent]:
        """Append *events* in order, all or none, and set the run's status and position in the same transaction.

        Writers of one run wait for the run lock, so each gets the next numbers. Appending the same events again, by
        their ids, returns what is stored.

        Args:
            run_id: The run.
            events: 1 to 500, each at most 256 KiB as BSON, 4 MiB together.
            owner_id: The run's owner.
            branch_id: The branch that the caller has read; the run must not have moved on to another.
            expected_seq: The number that the first event must get; ``None`` for whichever is next.
            unchanged_since: The ``updated_at`` that the run must still have; ``None`` for any. In a caller's
                transaction whatever does not fit is then a conflict at once, without a read: also a run that is gone,
                and the same events again.
            session: The caller's transaction, in which it also enqueues what follows.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
            ConflictError: The run has moved on to another branch, its log has grown, it was changed, it has ended, what
                is answered is not pending, something is asked while something else is pending, a module is to run
                again and no step is open or named, or an id is another event's; nothing was written.
            InvalidDataError: An event lacks what its type needs, or they contradict each other.
            TooLargeError: One or all of them are over the limit.
        """
        append = checked_append(run_id, owner_id, branch_id, events, KnownRun(expected_seq, unchanged_since))
        return await self._event_log.append_events(append, session)

    @retried
    async def get(self, event_id: str, *, owner_id: str, session: Session | None = None) -> RunEvent:
        """Return the owner's event.

        Raises:
            NotFoundError: The owner has no such event, or its run is being deleted.
        """
        return await self._event_log.find_event(event_id, owner_id, session)

    @retried
    async def log(
        self, run_id: str, *, owner_id: str, after: int = -1, limit: int = 500, session: Session | None = None
    ) -> list[RunEvent]:
        """Return a run's events of all branches with a number above *after*, in order, at most *limit*.

        This is what happened, not what counts: see ``read`` for that.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
        """
        return await self._event_log.events_after(run_id, owner_id, after, limit, session)

    @retried
    async def read(
        self,
        run_id: str,
        wanted: EventFilter = queries.ALL,
        *,
        owner_id: str,
        branch_id: str | None = None,
        limit: int = 500,
        session: Session | None = None,
    ) -> list[RunEvent]:
        """Return the events that count on a line of history, in order, at most *limit*.

        Args:
            run_id: The run.
            wanted: Which of them.
            owner_id: The run's owner.
            branch_id: The branch that the line leads to; ``None`` for the current one.
            limit: The most events to return; go on after the number of the last one.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run or branch.
        """
        _, events = await self._reader.counting_events(
            run_id, owner_id, wanted, branch_id=branch_id, limit=limit, session=session
        )
        return events

    @retried
    async def of_interaction(
        self, run_id: str, interaction_id: str, *, owner_id: str, session: Session | None = None
    ) -> list[RunEvent]:
        """Return the events about an interaction, on whichever branch, in order: its requests, answers and expiries.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted.
        """
        return await self._event_log.events_of_interaction(run_id, owner_id, interaction_id, session)

    @retried
    async def latest(
        self,
        run_id: str,
        event_type: DbEventType,
        *,
        owner_id: str,
        step: str | None = None,
        module: str | None = None,
        session: Session | None = None,
    ) -> RunEvent | None:
        """Return the newest event of a type that counts on the current line of history, or ``None``.

        Raises:
            NotFoundError: The owner has no such run.
        """
        wanted = EventFilter(types=[event_type], step=step, module=module)
        _, found = await self._reader.counting_events(run_id, owner_id, wanted, limit=1, newest=True, session=session)
        return found[0] if found else None
