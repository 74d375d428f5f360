"""Looks: a host's own tasks that look at runs; one look sees all that those were for which came before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from appdb import TaskState
from appdb.models import RunView, TaskFilter
from appserver.engine.core.causes import Look
from appserver.engine.core.engine_tasks import ADVANCE, QUEUE
from appserver.engine.runner.advancing import Advancer
from appserver.engine.runner.stores import EngineStores

ENDED_AT_ONCE = 500
"""Queued looks that one look ends; those beyond are looks of their own, and find nothing to do."""


@dataclass(slots=True)
class _Line:
    """The looks of this host at one run: one that reads or writes, and at most one that waits for it."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: bool = False
    inside: int = 0


class Looks:
    """
    Looks at runs for the tasks that ask for it.

    Each end of a task of a run asks for a look, and a hundred tasks may end while one look reads. All of these are one
    look: whoever looks first ends the looks that are queued, and only then reads; so it sees what they were for, since
    each is stored in the transaction of its cause. What is stored later has a look of its own again. Should this host
    die meanwhile, its own task is still there, and looks again (decision 0025).

    Args:
        stores: Where runs and tasks are.
        advancer: Advances runs.
    """

    def __init__(self, stores: EngineStores, advancer: Advancer) -> None:
        self._stores = stores
        self._advancer = advancer
        self._lines: dict[str, _Line] = {}

    async def look(self, run_id: str, owner_id: str, task_id: str) -> RunView | None:
        """Let a run go on with whatever can, for a task that is claimed; then that task is done.

        Args:
            run_id: The run.
            owner_id: Its owner.
            task_id: The task, which those that this look takes over tell as their result.

        Returns:
            The run; ``None`` when another look of this host will see to it, which has not read yet.

        Raises:
            NotFoundError: The owner has no such run.
            RunConflictError: Others write to the run all the time.
        """
        async with self._turn(run_id) as mine:
            if not mine:
                return None
            await self._take_over_queued(run_id, owner_id, task_id)
            return await self._advancer.advance(run_id, owner_id, Look())

    @asynccontextmanager
    async def _turn(self, run_id: str) -> AsyncIterator[bool]:
        """Wait for the turn at a run; give ``False`` at once where another one waits for it already."""
        line = self._lines.setdefault(run_id, _Line())
        if line.waiting:
            yield False
            return
        line.inside += 1
        try:
            line.waiting = True
            try:
                await line.turn.acquire()
            finally:
                line.waiting = False
            try:
                yield True
            finally:
                line.turn.release()
        finally:
            line.inside -= 1
            if not line.inside:
                del self._lines[run_id]

    async def _take_over_queued(self, run_id: str, owner_id: str, task_id: str) -> None:
        """End the looks at a run that nobody has claimed: one round trip where there are none, else a transaction."""
        queued = TaskFilter(
            owner_id=owner_id,
            run_id=run_id,
            queue=QUEUE,
            actor=ADVANCE,
            states=frozenset({TaskState.QUEUED}),
        )
        if await self._stores.queue.find(queued, limit=1):
            taken_over = {"taken_over_by": task_id}
            await self._stores.queue.complete_queued(queued, taken_over, limit=ENDED_AT_ONCE)
