"""Run history: earlier states of a run, its interactions, and the attempts of its modules."""

from __future__ import annotations

from appdb._driver import Session
from appdb._queries import events as queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.events import DbEventType as E
from appdb.models.events import EventFilter, RunEvent
from appdb.models.run_state import Interaction, ModuleAttempt
from appdb.run_lock import RunLock
from appdb.runs.interactions import interactions, module_attempts
from appdb.runs.lineage import counts
from appdb.runs.reader import RunReader
from appdb.runs.transitions import SETTLES


class RunHistory:
    """Reads what happened on a run's line of history, for ``StateRepository``."""

    def __init__(self, connection: Connection, reader: RunReader) -> None:
        self._run_lock = RunLock(connection)
        self._reader = reader
        self._events = connection.collection(collections.EVENTS)

    async def last_interactions(
        self, run_id: str, owner_id: str, before: int | None, limit: int, session: Session | None
    ) -> list[Interaction]:
        """Return the last requests that count, oldest first, each with its answer."""
        wanted = EventFilter(types=[E.INTERACTION_REQUESTED], before=before)
        lineage, asked = await self._reader.counting_events(
            run_id, owner_id, wanted, limit=limit, newest=True, session=session
        )
        # Answers may be beyond the page of requests, so they are asked for by id, and those off the line left out.
        ids = {event.interaction_id for event in asked if event.interaction_id is not None}
        if not ids:
            return []
        match = queries.of_interactions(run_id, owner_id, ids, SETTLES)
        answers = [RunEvent.from_document(row) async for row in self._events.find(match, session=session)]
        await self._run_lock.check_run(run_id, owner_id, session)
        counting = [event for event in answers if counts(lineage, event)]
        return interactions(sorted([*asked, *counting], key=lambda event: event.seq))

    async def last_completion(
        self, run_id: str, owner_id: str, module: str, step: str | None, session: Session | None
    ) -> RunEvent | None:
        """Return the last completion of a module, or ``None`` when it has none or has to run again."""
        _, state = await self._reader.current_state(run_id, owner_id, session)
        kept = [output for (at, name), output in state.outputs.items() if name == module and step in (None, at)]
        if not kept:
            return None
        match = queries.by_ids(run_id, owner_id, [kept[-1].event_id])
        found = await self._events.find_one(match, session=session)
        await self._run_lock.check_run(run_id, owner_id, session)
        return None if found is None else RunEvent.from_document(found)

    async def attempts_of_module(
        self, run: tuple[str, str], module: str, step: str | None, limit: int, session: Session | None
    ) -> list[ModuleAttempt]:
        """Return the attempts among a module's last events, oldest first; *run* is its id and owner."""
        wanted = EventFilter(types=[E.MODULE_COMPLETED, E.RETRY_REQUESTED], module=module, step=step)
        _, found = await self._reader.counting_events(*run, wanted, limit=limit, newest=True, session=session)
        return module_attempts(reversed(found))
