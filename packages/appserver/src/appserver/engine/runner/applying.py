"""Applying: a decision becomes one transaction; all of it is written, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from appdb import NewTask, derived_id
from appdb.host import Session
from appdb.models import NewRunEvent, RunEvent
from appserver.engine.core.decision import Decision, Fork
from appserver.engine.core.engine_tasks import look
from appserver.engine.core.picture import Picture
from appserver.engine.runner.stores import EngineStores
from appserver.engine.runner.writing import Writer

CANCELLED_AT_ONCE = 1_000
"""Tasks that one filter cancels in the transaction of a decision; a run has fewer that are open."""


class Applier:
    """
    Writes decisions.

    Args:
        stores: Where they go.
    """

    def __init__(self, stores: EngineStores) -> None:
        self._stores = stores
        self._writer = Writer(stores)

    async def apply(self, picture: Picture, decision: Decision, session: Session) -> list[RunEvent]:
        """Write *decision* in the caller's transaction, and return the events that were appended.

        Raises:
            ConflictError: The run is not where *picture* has it; nothing is to be written.
        """
        # First, since it locks the run and finds out whether somebody else was quicker.
        appended = await self._append(picture, decision.events, session)
        await self.follow(picture, decision, session)
        return appended

    async def follow(self, picture: Picture, decision: Decision, session: Session) -> None:
        """Write all of *decision* but its events, behind which the run is, in the caller's transaction."""
        for match in decision.cancels:
            await self._stores.queue.cancel_many(match, limit=CANCELLED_AT_ONCE, session=session)
        for run_id in decision.cancel_children:
            await self._stores.runs.cancel(run_id, owner_id=picture.run.owner_id, session=session)
        for child in decision.children:
            await self._stores.runs.open(child, owner_id=picture.run.owner_id, session=session)
        if tasks := [*decision.tasks, *_going_on(picture, decision)]:
            await self._stores.queue.enqueue_many(tasks, session=session)
        for number, write in enumerate(decision.writes):
            await self._writer.write(picture.run, write, number, session)
        if decision.fork is not None:
            await self._fork(picture, decision.fork, session)

    async def _append(self, picture: Picture, events: Sequence[NewRunEvent], session: Session) -> list[RunEvent]:
        if not events:
            return []
        return await self._stores.events.append(
            picture.run.id,
            events,
            owner_id=picture.run.owner_id,
            branch_id=picture.run.branch_id,
            expected_seq=picture.next_seq,
            unchanged_since=picture.run.updated_at,
            session=session,
        )

    async def _fork(self, picture: Picture, fork: Fork, session: Session) -> None:
        run = picture.run
        if fork.seq is None:
            await self._stores.runs.reset(
                run.id,
                owner_id=run.owner_id,
                branch_id=run.branch_id,
                data=fork.event.data,
                new_branch_id=fork.branch_id,
                session=session,
            )
            return
        await self._stores.branches.fork(
            run.id,
            fork.seq,
            fork.event,
            owner_id=run.owner_id,
            branch_id=run.branch_id,
            new_branch_id=fork.branch_id,
            session=session,
        )


def _going_on(picture: Picture, decision: Decision) -> list[NewTask]:
    """Return the task that goes on where this decision stops before the next wait, should this host die meanwhile."""
    if not (decision.cut or decision.fork):
        return []
    task_id = derived_id("tq_", picture.run.id, "go on", str(picture.next_seq))
    return [look(picture.run.owner_id, picture.run.id, task_id=task_id)]
