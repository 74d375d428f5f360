"""Going back: a way back is planned from the run as it is, shown, or done in one transaction, and the run goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from appdb import ConflictError, derived_id
from appdb.host import Session
from appdb.models import RunView
from appserver.engine.core.causes import Look
from appserver.engine.core.engine_tasks import look
from appserver.engine.core.picture import Picture
from appserver.engine.core.plan import GoingBackPlan
from appserver.engine.core.planning import plan
from appserver.engine.core.ways_back import WayBack
from appserver.engine.runner.advancing import MOST_TRIES, RUN_KINDS, Advancer, pause
from appserver.engine.runner.applying import Applier
from appserver.engine.runner.reading import PictureReader
from appserver.engine.runner.settled_drafts import SettledDrafts
from appserver.engine.runner.spending import Spending
from appserver.engine.runner.stores import EngineStores
from appserver.errors import RunBusyError, RunMovedError

FindWay: TypeAlias = Callable[[Picture], Awaitable[WayBack]]
"""Finds the way back that is asked for, in the run as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WentBack:
    """A way back that was done, and the run as it went on from there."""

    plan: GoingBackPlan
    view: RunView


class Returner:
    """
    Plans and does ways back.

    Args:
        stores: Where runs are.
        reader: Makes pictures of them.
        advancer: Lets them go on.
        drafts: Deletes what was begun of answers to questions that are undone.
    """

    def __init__(self, stores: EngineStores, reader: PictureReader, advancer: Advancer, drafts: SettledDrafts) -> None:
        self._stores = stores
        self._reader = reader
        self._advancer = advancer
        self._drafts = drafts
        self._applier = Applier(stores)

    async def planned(self, run_id: str, owner_id: str, find: FindWay) -> GoingBackPlan:
        """Return what a way back would do; nothing is written.

        Raises:
            NotFoundError: The owner has no such run, or the run not what the way leads to.
            ActionRefusedError: There is no such way.
        """
        picture = await self._reader.picture(run_id, owner_id)
        return await self._plan(picture, await find(picture))

    async def go(self, run_id: str, owner_id: str, find: FindWay, *, last_seq: int | None = None) -> WentBack:
        """Do a way back in one transaction, then let the run go on to its next wait.

        Args:
            run_id: The run.
            owner_id: Its owner.
            find: Finds the way.
            last_seq: The newest event that the caller knows: with it, a call that is repeated does nothing twice.

        Raises:
            NotFoundError: The owner has no such run, or the run not what the way leads to.
            ActionRefusedError: There is no such way.
            RunMovedError: The run has other events than the caller knows.
            ConflictError: The run would be open beside another of its project.
        """
        for number in range(MOST_TRIES):
            picture = await self._reader.picture(run_id, owner_id)
            if last_seq not in (None, picture.next_seq - 1):
                raise RunMovedError(run_id, picture.next_seq - 1)
            planned = await self._plan(picture, await find(picture))
            try:
                await self._stores.database.transaction(partial(self._write, picture, planned))
            except ConflictError as exc:
                if not await self._has_moved(exc, picture):
                    raise
                await pause(number)
                continue
            self._reader.forget(run_id)
            if not planned.decision.nothing:
                self._drafts.note(picture.run, None)
            return WentBack(plan=planned, view=await self._advancer.advance(run_id, owner_id, Look()))
        raise RunBusyError(run_id)

    async def _plan(self, picture: Picture, way: WayBack) -> GoingBackPlan:
        """Return the plan of *way* with what is known of its cost."""
        planned = plan(picture, way)
        if not planned.work_again:
            return planned
        run = picture.run
        spending = Spending(self._stores, run.owner_id)
        return plan(picture, way, await spending.of(run.id, picture.state, planned.work_again))

    async def _write(self, picture: Picture, planned: GoingBackPlan, session: Session) -> None:
        run, decision = picture.run, planned.decision
        if not decision.events and decision.fork is None:
            await self._check_place(picture, session)
        await self._applier.apply(picture, decision, session)
        if planned.version_id is not None:
            await self._stores.runs.set_version(run.id, planned.version_id, owner_id=run.owner_id, session=session)
        # Should this host die before the run has gone on.
        task_id = derived_id("tq_", run.id, "went back", str(picture.next_seq))
        await self._stores.queue.enqueue(look(run.owner_id, run.id, task_id=task_id), session=session)

    async def _check_place(self, picture: Picture, session: Session) -> None:
        """Check that the run is where it was read, for a way that writes no event, which would find it out."""
        run = picture.run
        held = await self._stores.runs.hold(run.id, owner_id=run.owner_id, session=session)
        if (held.branch_id, held.event_count) != (run.branch_id, picture.next_seq):
            raise ConflictError("workflow run", run.id, "it went on meanwhile; read it again")

    async def _has_moved(self, exc: ConflictError, picture: Picture) -> bool:
        """Return whether the run is not where it was read; else it is refused for good, such as beside an open one."""
        if exc.kind not in RUN_KINDS:
            return False
        run = picture.run
        read = partial(self._stores.runs.get, run.id, owner_id=run.owner_id)
        # In a transaction: the write that was quicker may not have reached a majority yet, which other reads wait for.
        now = await self._stores.database.transaction(lambda session: read(session=session))
        return (now.event_count, now.branch_id, now.updated_at) != (picture.next_seq, run.branch_id, run.updated_at)
