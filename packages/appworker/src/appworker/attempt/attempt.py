"""One attempt of one task, as the control loop holds it."""

from __future__ import annotations

from appdb import AttemptOutcome, Lease, Task
from appworker.attempt.event_writer import EventWriter
from appworker.attempt.fenced_calls import FencedCalls
from appworker.attempt.operations import AttemptOperations
from appworker.attempt.services import AttemptServices
from appworker.execution.stop import StopReason, StopSwitch


class Attempt:
    """
    A claimed task with its lease, its stop switch, and its ways into the database.

    Args:
        task: The task as it was claimed.

        services: The worker's own.

        claimed_at: ``time.monotonic()`` when the claim was asked for: the lease cannot have begun earlier.
    """

    def __init__(self, task: Task, services: AttemptServices, *, claimed_at: float) -> None:
        self.task = task
        self.lease = Lease.of(task)
        self.stop = StopSwitch()
        self.renewed_at = claimed_at
        self.outcome: AttemptOutcome | None = None
        """How the attempt ended in the database; ``None`` until that is written."""
        calls = FencedCalls(task, self.stop)
        self.names = calls.names
        self.events = EventWriter(task, services, calls, self.stop)
        self.operations = AttemptOperations(task, services, calls, self.events)

    @property
    def lease_lost(self) -> bool:
        """Whether the attempt was told that its lease is lost."""
        return self.stop.reason is StopReason.LEASE_LOST

    def lose_lease(self) -> None:
        """Stop the attempt, since its lease is or may be lost."""
        self.stop.throw(StopReason.LEASE_LOST)

    async def settle(self, outcome: AttemptOutcome) -> None:
        """Write *outcome*, with all events that were added.

        Raises:
            InvalidDataError: The outcome cannot be stored; nothing was written.
            TaskStoppedError: The lease is lost.
        """
        await self.events.settle(outcome)
        self.outcome = outcome
