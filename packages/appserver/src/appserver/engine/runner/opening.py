"""Opening: what a new run does up to its first wait is decided first, and written together with the run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from weakref import WeakValueDictionary

from appdb import BudgetExceededError, fold_events
from appdb.host import Session
from appdb.models import BudgetKind, BudgetScope, NewRun, NewRunEvent, Run, RunEvent, RunView
from appserver.engine.core.as_stored import event_as_stored, first_event, run_as_stored
from appserver.engine.core.causes import Look
from appserver.engine.runner.applying import Applier
from appserver.engine.runner.decider import Decided, Decider
from appserver.engine.runner.reading import PictureReader
from appserver.engine.runner.stores import EngineStores
from appserver.engine.runner.written import Written


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

    async def open(self, new: NewRun, owner_id: str) -> str | Written:
        """Make a run and do what follows, in one transaction; or return the id of the run that is there instead.

        Raises:
            ConflictError: The id is another run's, or another host opened a run of the project at the same moment.
            NotFoundError: The owner sees no such template or version.
        """
        try:
            return await self._open(new, owner_id, "")
        except BudgetExceededError as exc:
            # All the rest is written, and of the work that nobody can pay, that it was refused.
            return await self._open(new, owner_id, str(exc))

    async def _open(self, new: NewRun, owner_id: str, over_budget: str) -> str | Written:
        run = run_as_stored(new, owner_id, await self._stores.database.clock.now())
        view = RunView(run=run, state=fold_events(_log(run, new)))
        picture = await self._reader.picture_of(view, owner_id, over_budget=over_budget)
        decided = await self._decider.decide(picture, Look())
        # Each start writes to its owner's template, which orders it before or after the template's deletion. At the
        # server two of them at once are a conflict, after which one begins again, later each time; here they wait.
        line = self._lines.setdefault((owner_id, new.template_id), asyncio.Lock())
        async with line:
            return await self._stores.database.transaction(partial(self._write, new, owner_id, decided))

    async def _write(self, new: NewRun, owner_id: str, decided: Decided, session: Session) -> str | Written:
        events = decided.decision.events
        run, made = await self._stores.runs.open(new, owner_id=owner_id, events=events, session=session)
        if not made:
            return run.id
        if (most := decided.picture.definition.most_cost) is not None:
            scope = BudgetScope(kind=BudgetKind.RUN, run_id=run.id)
            await self._stores.budgets.set_limit(scope, most, owner_id=owner_id, session=session)
        await self._applier.follow(decided.picture, decided.decision, session)
        view = RunView(run=run, state=fold_events(_log(run, new, events)))
        return Written(decision=decided.decision, view=view)


def _log(run: Run, new: NewRun, events: Sequence[NewRunEvent] = ()) -> list[RunEvent]:
    """Return the event with which *new* begins, and *events* behind it, as they are stored."""
    log = [first_event(new), *events]
    return [event_as_stored(event, run, seq, run.created_at) for seq, event in enumerate(log)]
