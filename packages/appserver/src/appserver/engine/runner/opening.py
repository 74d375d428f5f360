"""Opening: what a new run does up to its first wait is decided first, and written together with the run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from appdb import BudgetExceededError, ConflictError, fold_events
from appdb.host import Session
from appdb.models import BudgetKind, BudgetScope, NewRun, NewRunEvent, Run, RunEvent, RunStatus, RunView
from appserver.engine.core.as_stored import event_as_stored, first_event, run_as_stored
from appserver.engine.core.causes import Look
from appserver.engine.runner.applying import Applier
from appserver.engine.runner.decider import Decided, Decider
from appserver.engine.runner.reading import PictureReader
from appserver.engine.runner.stores import EngineStores
from appserver.engine.runner.written import Written
from appserver.errors import TooManyWaitingError

WAITING_IN = "runs waiting in project"
"""The kind of the conflict that means that too many runs wait in a project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingRun:
    """A run that nothing is decided about now: one that was there, or one that waits for another.

    Args:
        run_id: The run.
        made: Whether it was made now.
    """

    run_id: str
    made: bool


class Opener:
    """
    Opens runs.

    Args:
        stores: Where runs are.
        reader: Makes pictures of them.
    """

    def __init__(self, stores: EngineStores, reader: PictureReader) -> None:
        self._stores = stores
        self._reader = reader
        self._decider = Decider(stores)
        self._applier = Applier(stores)
        self._lines: WeakValueDictionary[tuple[str, str | None], asyncio.Lock] = WeakValueDictionary()

    async def open(self, new: NewRun, owner_id: str) -> StandingRun | Written:
        """Make a run and do what follows, in one transaction, unless it waits; or find the run that is there instead.

        Raises:
            ConflictError: The id is another run's, or another host opened a run of the project at the same moment.
            TooManyWaitingError: It should wait, and too many do.
            NotFoundError: The owner sees no such template or version.
        """
        try:
            return await self._open(new, owner_id, "")
        except BudgetExceededError as exc:
            # All the rest is written, and of the work that nobody can pay, that it was refused.
            return await self._open(new, owner_id, str(exc))
        except ConflictError as exc:
            if exc.kind == WAITING_IN:
                raise TooManyWaitingError(new.project, exc.problem) from exc
            raise

    async def _open(self, new: NewRun, owner_id: str, over_budget: str) -> StandingRun | Written:
        run = run_as_stored(new, owner_id, await self._stores.database.clock.now())
        view = RunView(run=run, state=fold_events(_log(run, new)))
        picture = await self._reader.picture_of(view, owner_id, over_budget=over_budget)
        decided = await self._decider.decide(picture, Look())
        # Each start writes to its owner's template, which orders it before or after the template's deletion. At the
        # server two of them at once are a conflict, after which one begins again, later each time; here they wait.
        line = self._lines.setdefault((owner_id, new.template_id), asyncio.Lock())
        async with line:
            return await self._stores.database.transaction(partial(self._write, new, owner_id, decided))

    async def _write(self, new: NewRun, owner_id: str, decided: Decided, session: Session) -> StandingRun | Written:
        events = decided.decision.events
        run, made = await self._stores.runs.open(new, owner_id=owner_id, events=events, session=session)
        if not made:
            return StandingRun(run_id=run.id, made=False)
        if (most := decided.picture.definition.most_cost) is not None:
            scope = BudgetScope(kind=BudgetKind.RUN, run_id=run.id)
            await self._stores.budgets.set_limit(scope, most, owner_id=owner_id, session=session)
        if run.status is RunStatus.WAITING:
            # What was decided is decided again when it begins.
            return StandingRun(run_id=run.id, made=True)
        await self._applier.follow(decided.picture, decided.decision, session)
        view = RunView(run=run, state=fold_events(_log(run, new, events)))
        return Written(decision=decided.decision, view=view)


def _log(run: Run, new: NewRun, events: Sequence[NewRunEvent] = ()) -> list[RunEvent]:
    """Return the event with which *new* begins, and *events* behind it, as they are stored."""
    log = [first_event(new), *events]
    return [event_as_stored(event, run, seq, run.created_at) for seq, event in enumerate(log)]
