"""The shared executor: runs async actors beside each other in one event loop."""

from __future__ import annotations

import asyncio
import contextvars
import logging

from appworker.execution.inprocess.actor_loop import ActorLoop, QueuedJob
from appworker.execution.job import Job
from appworker.execution.results import ActorResult

logger = logging.getLogger(__name__)

BLOCKED_SECONDS = 0.5
"""How long an event loop may owe an answer before new attempts go elsewhere."""
LOOK_SECONDS = 0.1


class SharedExecutor:
    """The cheapest executor: a job is a task of an actor loop that lives as long as the worker.

    An actor that blocks its loop delays only the jobs that already run beside it: those that have not begun move to
    another loop, made when needed. A loop that answers again is used again, so there is at most one loop more than
    actors that block at the same time.
    """

    def __init__(self) -> None:
        self._loops: list[ActorLoop] = []
        self._next_look: asyncio.TimerHandle | None = None

    @property
    def blocked_seconds(self) -> float:
        """How long the worst loop has owed an answer; 0 when all answer."""
        return max((loop.blocked_seconds for loop in self._loops), default=0.0)

    def start(self, job: Job) -> asyncio.Future[ActorResult]:
        """Start *job*, and return a future of the caller's loop that is done when the actor has ended."""
        result: asyncio.Future[ActorResult] = asyncio.get_running_loop().create_future()
        self._answering().post(QueuedJob(job=job, result=result, variables=contextvars.copy_context()))
        if self._next_look is None:
            self._look_later()
        return result

    async def close(self) -> None:
        """End the threads that nothing runs in."""
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        for loop in self._loops:
            await loop.close()

    def _answering(self) -> ActorLoop:
        for loop in self._loops:
            if loop.blocked_seconds < BLOCKED_SECONDS:
                return loop
        try:
            self._loops.append(ActorLoop(len(self._loops)))
        except RuntimeError:
            # The system has no room for another thread. What waits for a loop that is blocked has its turn later.
            if not self._loops:
                raise
            logger.warning("there is no thread for another event loop; attempts wait for one that is blocked")
            return min(self._loops, key=lambda loop: loop.blocked_seconds)
        return self._loops[-1]

    def _look_later(self) -> None:
        self._next_look = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Move what waits for a blocked loop, and ask all for a sign of life, as long as anything runs."""
        self._next_look = None
        for loop in tuple(self._loops):
            if loop.blocked_seconds >= BLOCKED_SECONDS and loop.waiting:
                other = self._answering()
                # Only jobs that have not begun: a running coroutine cannot change its thread.
                for run in loop.take_back():
                    other.post(run)
            loop.ask()
        # An idle worker wakes up for nothing.
        if any(loop.busy for loop in self._loops):
            self._look_later()
