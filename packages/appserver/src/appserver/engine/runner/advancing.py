"""Advancing: a run is read, the core decides, and what follows is written; again whenever somebody else was quicker."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from functools import partial

from appdb import BudgetExceededError, ConflictError, NotFoundError, fold_events
from appdb.host import Session
from appdb.models import BudgetKind, BudgetScope, NewRun, RunEvent, RunView
from appserver.engine.core.advance import advance
from appserver.engine.core.causes import Cause, Look
from appserver.engine.core.decision import Decision
from appserver.engine.core.picture import Picture
from appserver.engine.runner.applying import Applier
from appserver.engine.runner.loading import Loader
from appserver.engine.runner.reading import PictureReader
from appserver.engine.runner.stores import EngineStores
from appserver.errors import RunBusyError

MOST_TRIES = 12
"""Attempts to write while others write to the same run."""
MOST_LOADS = 50
"""Times that one decision may ask for stored data."""
MOST_CUTS = 50
"""Transactions that one call writes, of at most 500 events each; a task goes on with the rest."""
FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.1
RUN_KINDS = frozenset({"workflow run", "event", "branch"})
"""Kinds of conflicts that mean that the run is not where it was read: read again."""
THREAD_SECONDS = 15
"""How long a decision that is made in a thread may take; within the limit of an engine's task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision, and the picture that it was made from with all that was loaded for it."""

    picture: Picture
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A decision that was written, with the events that it appended."""

    decided: Decided
    appended: tuple[RunEvent, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the run waits now, and no further decision follows at once."""
        return not (self.decided.decision.cut or self.decided.decision.fork)

    def view(self) -> RunView:
        """Return the run as it is behind the events, without reading it again."""
        run, state = self.decided.picture.run, self.decided.picture.state
        if not self.appended:
            return RunView(run=run, state=state)
        state, last = fold_events(self.appended, state), self.appended[-1]
        changed = {
            "status": state.status,
            "position": state.position,
            "event_count": run.event_count + len(self.appended),
            "updated_at": last.created_at,
            "open": run.open and not state.status.closed,
            "completed_at": (run.completed_at or last.created_at) if state.status.closed else None,
        }
        return RunView(run=run.model_copy(update=changed), state=state)


class Advancer:
    """
    Advances runs.

    Args:
        stores: Where runs are.
        reader: Makes pictures of them.
    """

    def __init__(self, stores: EngineStores, reader: PictureReader) -> None:
        self._stores = stores
        self._reader = reader
        self._loader = Loader(stores)
        self._applier = Applier(stores)

    async def advance(
        self, run_id: str, owner_id: str, cause: Cause, *, allow: frozenset[str] = frozenset()
    ) -> RunView:
        """Do what follows from *cause* up to the run's next wait, and return the run as it is then.

        One transaction, unless it is over 500 events or forks. Repeating is safe: a cause that was dealt with changes
        nothing. Without writers in between it takes the reads of ``PictureReader.picture`` and the transaction.

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
            the same id has made, as it is.

        Raises:
            ConflictError: The id is another run's.
            NotFoundError: The owner sees no such template or version.
        """

        for number in range(MOST_TRIES):
            try:
                opened = await self._open_within_budget(new, owner_id)
            except ConflictError as exc:
                if exc.kind != "project":
                    raise
                await pause(number)
                continue
            if isinstance(opened, str):
                return await self._reader.view(opened, owner_id), False
            if opened.finished:
                return opened.view(), True
            return await self.advance(new.run_id, owner_id, Look()), True
        raise RunBusyError(new.run_id)

    async def _open_within_budget(self, new: NewRun, owner_id: str) -> str | Written:
        try:
            return await self._stores.database.transaction(partial(self._open, new, owner_id, ""))
        except BudgetExceededError as exc:
            return await self._stores.database.transaction(partial(self._open, new, owner_id, str(exc)))

    async def _open(self, new: NewRun, owner_id: str, over_budget: str, session: Session) -> str | Written:
        run, made = await self._stores.runs.open(new, owner_id=owner_id, session=session)
        if not made:
            return run.id
        picture = await self._reader.picture_of_new(run, new)
        if (most := picture.definition.most_cost) is not None:
            scope = BudgetScope(kind=BudgetKind.RUN, run_id=run.id)
            await self._stores.budgets.set_limit(scope, most, owner_id=owner_id, session=session)
        decided = await self._decide(replace(picture, over_budget=over_budget), Look(), frozenset())
        return await self._apply(decided, session)

    async def _advance_once(
        self, run_id: str, owner_id: str, cause: Cause, allow: frozenset[str]
    ) -> tuple[RunView, bool]:
        for number in range(MOST_TRIES):
            picture = await self._reader.picture(run_id, owner_id)
            try:
                written = await self._write_within_budget(picture, cause, allow)
            except ConflictError as exc:
                if exc.kind not in RUN_KINDS:
                    raise
                await pause(number)
                continue
            return written.view(), written.finished
        raise RunBusyError(run_id)

    async def _write_within_budget(self, picture: Picture, cause: Cause, allow: frozenset[str]) -> Written:
        try:
            return await self._write(picture, cause, allow)
        except BudgetExceededError as exc:
            # All the rest is written, and of the work that nobody can pay, that it was refused.
            return await self._write(replace(picture, over_budget=str(exc)), cause, allow)

    async def _write(self, picture: Picture, cause: Cause, allow: frozenset[str]) -> Written:
        decided = await self._decide(picture, cause, allow)
        if decided.decision.nothing:
            return Written(decided=decided)
        return await self._stores.database.transaction(partial(self._apply, decided))

    async def _apply(self, decided: Decided, session: Session) -> Written:
        appended = await self._applier.apply(decided.picture, decided.decision, session)
        return Written(decided=decided, appended=tuple(appended))

    async def _decide(self, picture: Picture, cause: Cause, allow: frozenset[str]) -> Decided:
        for _ in range(MOST_LOADS):
            decision = await _decision(picture, cause, allow)
            if not decision.needs:
                unknown = await self._unknown_versions(picture, decision)
                if not unknown:
                    return Decided(picture=picture, decision=decision)
                picture = replace(picture, unknown_versions=picture.unknown_versions | unknown)
                continue
            loaded = await self._loader.load(decision.needs, picture.run)
            picture = replace(picture, loaded={**picture.loaded, **loaded})
        raise RuntimeError(f"run {picture.run.id}: its modules ask for stored data without an end")

    async def _unknown_versions(self, picture: Picture, decision: Decision) -> frozenset[str]:
        """Return the versions that child runs of *decision* should follow, and that the owner has not."""
        named = {child.version_id for child in decision.children} - {picture.version_id}
        unknown: set[str] = set()
        for version_id in sorted(filter(None, named)):
            try:
                await self._stores.versions.get(version_id, owner_id=picture.run.owner_id)
            except NotFoundError:
                unknown.add(version_id)
        return frozenset(unknown)


async def _decision(picture: Picture, cause: Cause, allow: frozenset[str]) -> Decision:
    if not allow:
        return advance(picture, cause)
    # A plug-in may be slow: in a thread it holds up nobody else, and past the limit nobody waits for it.
    async with asyncio.timeout(THREAD_SECONDS):
        return await asyncio.to_thread(advance, picture, cause, allow=allow)


async def pause(number: int) -> None:
    """Wait a moment before attempt *number* is repeated; longer each time, and random."""
    longest = min(FIRST_PAUSE_SECONDS * 2**number, LONGEST_PAUSE_SECONDS)
    await asyncio.sleep(random.uniform(0, longest))
