"""Run inbox: the open questions of an owner over all runs, found by the runs and not by their logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from appdb._driver import Session
from appdb._queries import events as event_queries
from appdb._schema import collections
from appdb.connection import Connection
from appdb.models.events import RunEvent
from appdb.models.run_lists import OpenQuestion
from appdb.models.workflow_runs import Run
from appdb.reading import readable
from appdb.runs.overview import RunOverview


class RunInbox:
    """Lists open questions, for ``RunListRepository``."""

    def __init__(self, connection: Connection) -> None:
        self._overview = RunOverview(connection)
        self._events = connection.collection(collections.EVENTS)

    async def open_questions(
        self,
        owner_id: str,
        below: str | None,
        before: str | None,
        limit: int,
        session: Session | None,
        *,
        newest_first: bool,
    ) -> list[OpenQuestion]:
        """Return what the owner is asked and has not answered, by all runs, or by those below one run alone."""
        runs = await self._overview.asking(owner_id, below, before, limit, session, newest_first=newest_first)
        return [question for run in runs if (question := _question_of(run)) is not None]

    async def with_requests(
        self, questions: Sequence[OpenQuestion], owner_id: str, session: Session | None
    ) -> list[OpenQuestion]:
        """Return *questions* with the events that ask them, by one read."""
        if not questions:
            return []
        asked = {(question.run.id, question.interaction_id) for question in questions}
        rows = await self._events.find(event_queries.requests(asked, owner_id), session=session).to_list(None)
        # On another branch the same may have been asked before: the last event is the one that counts.
        events = sorted(readable(RunEvent.from_document, rows), key=lambda event: event.seq)
        found = {(event.run_id, event.interaction_id): event for event in events}
        return [replace(one, request=found.get((one.run.id, one.interaction_id))) for one in questions]


def _question_of(run: Run) -> OpenQuestion | None:
    asked, since = run.position.interaction_id, run.asked_since
    # A status that disagrees with the position is mended by a recovery of the run.
    if asked is None or since is None:
        return None
    return OpenQuestion(run=run, interaction_id=asked, since=since)
