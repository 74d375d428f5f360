"""The attempts that a worker holds: begins them, tells how they ended, and stops them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta

from appdb import AppDbError, Task, TaskState
from appworker.actors.loading import ActorsByHandler, actor_of
from appworker.attempt.attempt import Attempt
from appworker.attempt.attempt_runner import AttemptRunner
from appworker.attempt.services import AttemptServices
from appworker.execution.stop import StopReason
from appworker.health.metrics import AttemptEnd, end_of
from appworker.health.monitor import Monitor
from appworker.worker.slots import Slots, SlotTicket

logger = logging.getLogger(__name__)


class RunningAttempts:
    """
    Runs claimed tasks, and counts how they end.

    Args:
        actors: The actors that are offered.

        services: The services that attempts share.

        runner: Does each attempt.

        slots: Room for attempts.

        monitor: Is told how each attempt ended.

        changed: Called when an attempt has ended.
    """

    def __init__(
        self,
        actors: ActorsByHandler,
        services: AttemptServices,
        runner: AttemptRunner,
        slots: Slots,
        monitor: Monitor,
        changed: Callable[[], None],
    ) -> None:
        self._actors = actors
        self._services = services
        self._runner = runner
        self._slots = slots
        self._monitor = monitor
        self._changed = changed
        self._attempts: dict[asyncio.Task[None], Attempt] = {}

    def __len__(self) -> int:
        """Attempts that are not settled yet."""
        return len(self._attempts)

    @property
    def settling(self) -> int:
        """Attempts whose actor has ended, and whose outcome is still being written."""
        return len(self._attempts) - self._slots.busy - self._slots.waiting

    def begin(self, task: Task, claimed_at: float) -> None:
        """Run *task* as soon as there is a slot.

        Args:
            task: The task as it was claimed.
            claimed_at: ``time.monotonic()`` when the claim was asked for.
        """
        attempt = Attempt(task, self._services, claimed_at=claimed_at)
        running = asyncio.create_task(self._run(attempt, self._slots.request(), claimed_at))
        self._attempts[running] = attempt
        running.add_done_callback(self._ended)

    def stop_all(self) -> None:
        """Stop every attempt, to be released."""
        for attempt in self._attempts.values():
            attempt.stop.throw(StopReason.DRAIN)

    async def wait(self, longest: timedelta) -> None:
        """Wait until all attempts have ended, or *longest* has passed."""
        if self._attempts:
            await asyncio.wait(set(self._attempts), timeout=longest.total_seconds())

    async def _run(self, attempt: Attempt, ticket: SlotTicket, claimed_at: float) -> None:
        try:
            await self._runner.run(attempt, actor_of(attempt.task, self._actors), ticket)
        finally:
            end = await self._end_of(attempt)
            seconds = time.monotonic() - claimed_at
            self._monitor.metrics.ended(attempt.task, end, seconds)
            logger.info("a task ended", extra={**attempt.names, "outcome": end, "seconds": round(seconds, 3)})

    async def _end_of(self, attempt: Attempt) -> AttemptEnd:
        """Tell apart, by a look at the task, a cancel from a lease that another worker may have now."""
        if attempt.outcome is not None:
            return end_of(attempt.outcome)
        if attempt.stop.reason is not StopReason.LEASE_LOST:
            return AttemptEnd.UNSETTLED
        try:
            # Only for a lost lease, which is rare: others cost no read.
            task = await self._services.queue.get(attempt.task.id, owner_id=attempt.task.owner_id)
        except AppDbError:
            return AttemptEnd.LOST  # pruned meanwhile, or the database is away, which loses leases too
        return AttemptEnd.CANCELLED if task.state is TaskState.CANCELLED else AttemptEnd.LOST

    def _ended(self, running: asyncio.Task[None]) -> None:
        attempt = self._attempts.pop(running)
        self._changed()
        if not running.cancelled() and (error := running.exception()) is not None:
            # The task's outcome was not written; its lease will end, and it runs again.
            logger.error(
                "an attempt could not be settled; it runs again once its lease has ended",
                extra=attempt.names,
                exc_info=error,
            )
