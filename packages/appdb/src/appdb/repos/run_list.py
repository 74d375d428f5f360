"""RunListRepository: lists over runs, for their owners and for operators."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from appdb._driver import Session, retried
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.models.run_lists import OpenQuestion, RunFilter
from appdb.models.workflow_runs import Run, RunStatus
from appdb.runs.inbox import RunInbox
from appdb.runs.overview import RunOverview
from appdb.runs.stuck import STUCK_AFTER, StuckRuns


class RunListRepository(BaseRepository):
    """Lists over runs by last activity: what was active last, what waits for its user, and what nothing moves on.

    Such a list changes while it is read. So a page goes on behind a *place*, which the last entry of the page before
    has (``Run.place``): it stays where it was when that entry has moved or left the list since. ``WorkflowRepository``
    lists runs by creation, for one project, one template, or one run's children.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._overview = RunOverview(connection)
        self._inbox = RunInbox(connection)
        self._stuck = StuckRuns(connection)

    @retried
    async def by_activity(
        self,
        *,
        owner_id: str,
        statuses: Collection[RunStatus] = (),
        before: str | None = None,
        limit: int = 50,
        session: Session | None = None,
    ) -> list[Run]:
        """Return the owner's runs, last activity first, without those that do sub-actions.

        Args:
            owner_id: Whose runs.
            statuses: Only these statuses; empty for all.
            before: The place of the last run of the page before.
            limit: The most runs to return.
            session: The caller's transaction.

        Raises:
            InvalidDataError: *before* is no place.
        """
        return await self._overview.by_activity(owner_id, statuses, before, limit, session)

    @retried
    async def waiting(
        self,
        *,
        owner_id: str,
        below: str | None = None,
        newest_first: bool = False,
        before: str | None = None,
        limit: int = 50,
        session: Session | None = None,
    ) -> list[OpenQuestion]:
        """Return what the owner is asked and has not answered, in all runs, also those that do sub-actions.

        From the runs alone: ``inbox`` adds what the questions say.

        Args:
            owner_id: Whose questions.
            below: Only those of runs that do a sub-action of this run, at any depth.
            newest_first: Whether the last question comes first, not the oldest.
            before: The place of the last question of the page before, which may have been answered since.
            limit: The most questions to return.
            session: The caller's transaction.

        Raises:
            InvalidDataError: *before* is no place.
        """
        return await self._inbox.open_questions(owner_id, below, before, limit, session, newest_first=newest_first)

    @retried
    async def inbox(
        self,
        *,
        owner_id: str,
        below: str | None = None,
        newest_first: bool = False,
        before: str | None = None,
        limit: int = 20,
        session: Session | None = None,
    ) -> list[OpenQuestion]:
        """Return what ``waiting`` returns, each question with the event that asks it, by one more read.

        An event has up to 256 KiB, so ask for few at once.
        """
        found = await self._inbox.open_questions(owner_id, below, before, limit, session, newest_first=newest_first)
        return await self._inbox.with_requests(found, owner_id, session)

    @retried
    async def stuck(
        self,
        *,
        owner_id: str,
        unchanged_for: timedelta = STUCK_AFTER,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Return those of the owner's runs that nothing will move on, longest unchanged first.

        Such a run is created or processing, and there is no live cause: neither it nor what is under way below it has a
        task that can still change, below it nobody is asked anything, and no message from outside is waited for.

        Args:
            owner_id: Whose runs.
            unchanged_for: How long they have not changed, and nothing below them, by the database's clock.
            before: The place of the last run of the page before.
            limit: The most runs to return.

        Raises:
            InvalidDataError: *before* is no place.
        """
        return await self._stuck.page(owner_id, unchanged_for, before, limit)

    @retried
    async def find_for_operators(
        self, wanted: RunFilter, *, oldest_first: bool = False, before: str | None = None, limit: int = 50
    ) -> list[Run]:
        """Return the runs of one owner or of everybody that *wanted* describes, last activity first, or last.

        Raises:
            InvalidDataError: *before* is no place.
        """
        return await self._overview.of_everybody(wanted, before, limit, oldest_first=oldest_first)

    @retried
    async def stuck_for_operators(
        self,
        *,
        unchanged_for: timedelta = STUCK_AFTER,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Return what ``stuck`` returns, of everybody's runs."""
        return await self._stuck.page(None, unchanged_for, before, limit)
