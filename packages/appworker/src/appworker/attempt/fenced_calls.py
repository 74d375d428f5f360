"""Calls to the database in the name of one attempt: repeated while no primary answers, and no longer than the lease."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from appdb import DatabaseUnavailableError, LeaseLostError, Task
from appworker.errors import TaskStoppedError
from appworker.execution.stop import StopReason, StopSwitch

logger = logging.getLogger(__name__)
T = TypeVar("T")

RETRY_PAUSE_SECONDS = (0.05, 0.5)
"""Bounds of the pause before a call is repeated; random, so that attempts do not march in step."""


class FencedCalls:
    """
    Makes the calls of one attempt, and stops the attempt when its lease is lost.

    Args:
        task: The task as it was claimed.

        stop: The attempt's switch.
    """

    def __init__(self, task: Task, stop: StopSwitch) -> None:
        self._task_id = task.id
        self._stop = stop
        self.names: dict[str, object] = {"task_id": task.id, "actor": task.actor, "attempt": task.attempt}
        """The attempt's names in a line of the log."""

    async def make(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make *call* until the database answers, and return the answer; it must be safe to repeat.

        Raises:
            TaskStoppedError: The lease is lost, or may be by this host's monotonic clock.
        """
        while True:
            try:
                return await call()
            except LeaseLostError as exc:
                self._stop.throw(StopReason.LEASE_LOST)
                raise TaskStoppedError(self._task_id, StopReason.LEASE_LOST) from exc
            except DatabaseUnavailableError as exc:
                # The lease renewer stops the attempt in time, so there is no other bound: giving up earlier would
                # lose work that the lease still covers.
                if self._stop.reason is StopReason.LEASE_LOST:
                    raise TaskStoppedError(self._task_id, StopReason.LEASE_LOST) from exc
                logger.warning("a write found no database and is repeated", extra={**self.names, "error": str(exc)})
                await asyncio.sleep(random.uniform(*RETRY_PAUSE_SECONDS))
