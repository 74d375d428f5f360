"""Claims of a worker: one request for tasks, timed, and known to the lease guard before the tasks begin."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from appdb import Claimer, Lease, Task, TaskQueue
from appdb.host import LeaseGuard
from appworker.actors.loading import ActorsByHandler, actor_of
from appworker.attempt.time_limits import renewed_until
from appworker.health.monitor import Monitor

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTasks:
    """The answer to a claim.

    Args:
        tasks: The tasks; empty when none was due.
        asked_at: ``time.monotonic()`` when the claim was asked for: no lease began earlier.
        seconds: How long the claim took.
    """

    tasks: list[Task]
    asked_at: float
    seconds: float


class TaskClaiming:
    """
    Claims tasks for one worker.

    Args:
        queue: The queue.

        claimer: The worker, its queues and what it can do.

        actors: The actors that are offered.

        guard: The lease guard, which must know of a lease before an actor can block this process.

        monitor: Is told how long claims take.
    """

    def __init__(
        self, queue: TaskQueue, claimer: Claimer, actors: ActorsByHandler, guard: LeaseGuard, monitor: Monitor
    ) -> None:
        self._queue = queue
        self._claimer = claimer
        self._actors = actors
        self._guard = guard
        self._monitor = monitor

    @property
    def limit_reached(self) -> bool:
        """Whether the latest claim left due tasks because of a limit."""
        return self._queue.limit_reached

    async def claim(self, wanted: int) -> ClaimedTasks:
        """Claim up to *wanted* tasks.

        Raises:
            AppDbError: The database could not be asked; perhaps tasks were claimed, whose leases will end.
        """
        asked_at = time.monotonic()
        tasks = await self._queue.claim(self._claimer, limit=wanted)
        seconds = time.monotonic() - asked_at
        self._monitor.health.database_answered()
        self._monitor.metrics.claimed(tasks, seconds)
        if tasks:
            self._guard.hold([(Lease.of(task), renewed_until(task, actor_of(task, self._actors))) for task in tasks])
        return ClaimedTasks(tasks=tasks, asked_at=asked_at, seconds=seconds)
