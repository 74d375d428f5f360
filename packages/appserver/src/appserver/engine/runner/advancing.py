"""Advancing: a run is read, the core decides, and what follows is written; again whenever somebody else was quicker."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from functools import partial

from appdb import AppDbError, BudgetExceededError, ConflictError, DatabaseUnavailableError
from appdb.host import Session
from appdb.models import NewRun, RunView
from appserver.engine.core.causes import Cause, Look
from appserver.engine.core.picture import Picture
from appserver.engine.runner.applying import Applier
from appserver.engine.runner.decider import Decided, Decider
from appserver.engine.runner.opening import Opener, StandingRun
from appserver.engine.runner.reading import PictureReader
from appserver.engine.runner.settled_drafts import SettledDrafts
from appserver.engine.runner.stores import EngineStores
from appserver.engine.runner.written import Written, view_behind
from appserver.errors import AppServerError, RunBusyError

MOST_TRIES = 12
"""Attempts to write while others write to the same run."""
MOST_CUTS = 50
"""Transactions that one call writes, of at most 500 events each; a task goes on with the rest."""
FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.1
RUN_KINDS = frozenset({"workflow run", "event", "branch"})
"""Kinds of conflicts that mean that the run is not where it was read: read again."""


class Advancer:
    """
    Advances runs.

    Args:
        stores: Where runs are.
        reader: Makes pictures of them.
        drafts: Deletes what was begun of answers to questions that are settled.
    """

    def __init__(self, stores: EngineStores, reader: PictureReader, drafts: SettledDrafts) -> None:
        self._stores = stores
        self._reader = reader
        self._drafts = drafts
        self._decider = Decider(stores)
        self._opener = Opener(stores, reader)
        self._applier = Applier(stores)

    async def advance(
        self, run_id: str, owner_id: str, cause: Cause, *, allow: frozenset[str] = frozenset()
    ) -> RunView:
        """Do what follows from *cause* up to the run's next wait, and return the run as it is then.

        One transaction, unless it is over 500 events or forks. Repeating is safe: a cause that was dealt with changes
        nothing. Where this host wrote to the run last, it takes the transaction alone; else, and for looks and what
        needs stored data, the reads of ``PictureReader.picture`` too.

        Args:
            run_id: The run.
            owner_id: Its owner.
            cause: Why it is looked at.
            allow: Module types that are run although requests may not; decided in a thread.

        Raises:
            NotFoundError: The owner has no such run.
            RunConflictError: The cause is a person's, and the run is not where that person takes it to be; or others
                write to it all the time.
            InvalidAnswerError: The answer does not fit.
        """
        for _ in range(MOST_CUTS):
            view, finished = await self._advance_once(run_id, owner_id, cause, allow)
            if finished:
                break
            cause = Look()
        return view

    async def open(self, new: NewRun, owner_id: str) -> tuple[RunView, bool]:
        """Make a run and do what follows up to its first wait, in one transaction.

        Returns:
            The run, and whether this call has made it: else it is the project's open run, or what an earlier call with
            the same id has made, as it is. One that may wait (``NewRun.on_begin``) waits where the project has an open
            run.

        Raises:
            ConflictError: The id is another run's.
            TooManyWaitingError: It should wait, and too many do.
            NotFoundError: The owner sees no such template or version.
        """

        for number in range(MOST_TRIES):
            try:
                opened = await self._opener.open(new, owner_id)
            except ConflictError as exc:
                if exc.kind != "project":
                    raise
                await pause(number)
                continue
            if isinstance(opened, StandingRun):
                return await self._reader.view(opened.run_id, owner_id), opened.made
            self._reader.keep(opened.view)
            if opened.finished:
                return opened.view, True
            return await self.advance(new.run_id, owner_id, Look()), True
        raise RunBusyError(new.run_id)

    async def _advance_once(
        self, run_id: str, owner_id: str, cause: Cause, allow: frozenset[str]
    ) -> tuple[RunView, bool]:
        if (presumed := await self._advance_presumed(run_id, owner_id, cause, allow)) is not None:
            return presumed.view, presumed.finished
        for number in range(MOST_TRIES):
            picture = await self._reader.picture(run_id, owner_id)
            try:
                written = await self._write_within_budget(picture, cause, allow)
            except ConflictError as exc:
                if exc.kind not in RUN_KINDS:
                    raise
                await pause(number)
                continue
            return written.view, written.finished
        raise RunBusyError(run_id)

    async def _advance_presumed(
        self, run_id: str, owner_id: str, cause: Cause, allow: frozenset[str]
    ) -> Written | None:
        """Write what follows if the run is where this host has left it; ``None`` where it must be read instead."""
        # A look often finds nothing to do, which only a run that was read can tell.
        picture = None if isinstance(cause, Look) else await self._reader.presumed(run_id, owner_id)
        if picture is None:
            return None
        try:
            decided = await self._decider.decide_unread(picture, cause, allow)
            # Only the append of events finds out whether the run is there; what is written without it does not.
            return await self._store(decided) if decided is not None and decided.decision.events else None
        except DatabaseUnavailableError:
            raise
        except (AppDbError, AppServerError):
            # Whether that is so, only a run that was read can tell.
            return None

    async def _write_within_budget(self, picture: Picture, cause: Cause, allow: frozenset[str]) -> Written:
        try:
            return await self._write(picture, cause, allow)
        except BudgetExceededError as exc:
            # All the rest is written, and of the work that nobody can pay, that it was refused.
            return await self._write(replace(picture, over_budget=str(exc)), cause, allow)

    async def _write(self, picture: Picture, cause: Cause, allow: frozenset[str]) -> Written:
        decided = await self._decider.decide(picture, cause, allow)
        if decided.decision.nothing:
            return Written(decision=decided.decision, view=RunView(run=picture.run, state=picture.state))
        return await self._store(decided)

    async def _store(self, decided: Decided) -> Written:
        written = await self._stores.database.transaction(partial(self._apply, decided))
        self._reader.keep(written.view)
        self._drafts.note(decided.picture.run, None if written.decision.fork else written.view.run)
        return written

    async def _apply(self, decided: Decided, session: Session) -> Written:
        appended = await self._applier.apply(decided.picture, decided.decision, session)
        return Written(decision=decided.decision, view=view_behind(decided.picture, appended))


async def pause(number: int) -> None:
    """Wait a moment before attempt *number* is repeated; longer each time, and random."""
    longest = min(FIRST_PAUSE_SECONDS * 2**number, LONGEST_PAUSE_SECONDS)
    await asyncio.sleep(random.uniform(0, longest))
