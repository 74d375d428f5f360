"""The options of a worker process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """
    Options that do not change while the worker runs.

    Args:
        queues: The queues to claim from.

        slots: The attempts that run at a time.

        heartbeat: The pause between renewals of leases.

        drain: How long running tasks may go on after the first signal to stop.

        retention: How long final tasks are kept.

        providers: The providers that work on this host, to be announced.
    """

    queues: tuple[str, ...]
    slots: int
    heartbeat: timedelta
    drain: timedelta
    retention: timedelta
    providers: tuple[str, ...] = ()

    @property
    def shape(self) -> dict[str, object]:
        """The queues and slots, for a line of the log."""
        return {"queues": list(self.queues), "slots": self.slots}
