"""Duties: what a host does again and again, of which no failure may end the loop."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from appdb.errors import AppDbError

logger = logging.getLogger(__name__)


class Duty:
    """
    One duty, which runs beside others and at most once at a time.

    Args:
        work: Does the duty; it is called again when the duty is due again, whatever became of the call before.
    """

    def __init__(self, work: Callable[[], Awaitable[object]]) -> None:
        self._work = work
        self._under_way = False

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Do the duty in *group*, unless it is being done."""
        if not self._under_way:
            self._under_way = True
            group.create_task(self._do())

    async def _do(self) -> None:
        try:
            await survive(self._work)
        finally:
            self._under_way = False


async def every(interval: timedelta, duty: Callable[[], Awaitable[object]]) -> None:
    """Repeat *duty* until cancelled; nothing that it raises ends it.

    Args:
        interval: The pause between two calls, with a jitter of 20 %, so that hosts do not march in step.
        duty: The work to repeat.
    """
    while True:
        await survive(duty)
        await asyncio.sleep(interval.total_seconds() * random.uniform(0.8, 1.2))


async def survive(duty: Callable[[], Awaitable[object]]) -> None:
    """Do *duty*, which is repeated anyway: its error goes to the log, and ends neither its loop nor the others."""
    try:
        await duty()
    except AppDbError as exc:
        logger.warning("a duty met the database's error; it is repeated", extra={"error": str(exc)})
    except Exception:
        logger.exception("a duty failed by our own fault; it is repeated")
