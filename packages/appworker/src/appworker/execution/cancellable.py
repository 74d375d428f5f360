"""The part of a context that knows no database: the facts of an attempt, and whether it must end."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from appdb.models import Origin
from appworker.errors import TaskStoppedError
from appworker.execution.stop import StopSwitch


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFacts:
    """The facts of an attempt.

    Args:
        task_id: The task.
        owner_id: Whose task.
        attempt: Counted from 1.
        idempotency_key: The same for every attempt of the task.
        deadline: When the attempt is out of time, by this host's clock.
        origin: What the task works for.
        actor: The actor's name, for its log.
    """

    task_id: str
    owner_id: str
    attempt: int
    idempotency_key: str
    deadline: datetime
    origin: Origin
    actor: str


class CancellableContext:
    """A context that tells the facts of an attempt, and whether it must end.

    Args:
        facts: The facts.
        stop: The attempt's switch.
    """

    def __init__(self, facts: ContextFacts, stop: StopSwitch) -> None:
        self.task_id = facts.task_id
        self.owner_id = facts.owner_id
        self.attempt = facts.attempt
        self.idempotency_key = facts.idempotency_key
        self.deadline: datetime = facts.deadline
        self.origin = facts.origin
        self.logger = logging.LoggerAdapter(
            logging.getLogger(f"appworker.actor.{facts.actor}"), {"task_id": facts.task_id, "attempt": facts.attempt}
        )
        self._stop = stop

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must end."""
        return self._stop.reason is not None

    def check_cancelled(self) -> None:
        """Raise ``TaskStoppedError`` when the attempt must end."""
        reason = self._stop.reason
        if reason is not None:
            raise TaskStoppedError(self.task_id, reason)
