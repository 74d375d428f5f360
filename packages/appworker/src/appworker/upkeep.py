"""Upkeep of the queue, by every worker and led by none: what time does to tasks is done when it is due."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from appdb import (
    AppDbError,
    ChangeFeed,
    ContentRepository,
    FileRepository,
    ScheduleRepository,
    TaskQueue,
    WorkflowRepository,
)
from appdb.feed import TASKS_SCHEDULED, Subscription

logger = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=5)
"""How often to ask what is due; with the lease it bounds how long a dead worker's task waits."""
BLIND_INTERVAL = timedelta(seconds=1.2)
LEAST_PAUSE = timedelta(milliseconds=20)
SLOW_ANSWER = 0.25
"""The share of a lease after which an answer was so late that leases may have run out meanwhile."""
PRUNE_INTERVAL = timedelta(minutes=5)
PRUNED_AT_ONCE = 1_000
SWEEP_INTERVAL = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where hosts that are killed may leave something behind: bytes that nobody names, runs that are half deleted."""

    contents: ContentRepository
    files: FileRepository
    workflows: WorkflowRepository


class Upkeep:
    """
    Promotes, recovers, expires, ticks, prunes and sweeps.

    One query tells what there is to do and when the next scheduled task is due, so an idle host asks seldom and yet
    starts delayed tasks on time. A host that was cut off or frozen waits a lease before it takes anything from a
    holder, since the holders may have been cut off with it and must have the time to renew.

    Args:
        queue: What is looked after.

        schedules: What enqueues by the clock.

        stores: Where what killed hosts left behind is swept, slowly.

        feed: Tells whether hints flow.

        retention: How long final tasks are kept.
    """

    def __init__(
        self,
        queue: TaskQueue,
        schedules: ScheduleRepository,
        stores: Stores,
        feed: ChangeFeed,
        retention: timedelta,
    ) -> None:
        self._queue = queue
        self._schedules = schedules
        self._stores = stores
        self._feed = feed
        self._retention = retention
        self._reached_at = time.monotonic()
        self._recovers_at = float("-inf")
        self._was_cut_off = False

    async def run(self) -> None:
        """Look after the queue until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_after())
            group.create_task(every(PRUNE_INTERVAL, self._prune))
            group.create_task(every(SWEEP_INTERVAL, self._sweep))

    async def _look_after(self) -> None:
        with self._feed.subscribe(TASKS_SCHEDULED) as scheduled:
            while True:
                try:
                    wait = await self._do_what_is_due()
                except AppDbError as exc:
                    self._was_cut_off = True
                    logger.warning("upkeep could not reach the database; trying again", extra={"error": str(exc)})
                    wait = BLIND_INTERVAL
                await self._pause(scheduled, wait)

    async def _pause(self, scheduled: Subscription, wait: timedelta) -> None:
        await scheduled.wait(wait)
        # Jitter, so that hosts do not march in step; and many hints in a moment are one reason to look.
        await asyncio.sleep(LEAST_PAUSE.total_seconds() * random.uniform(0.5, 1))

    async def _do_what_is_due(self) -> timedelta:
        interval = (INTERVAL if self._feed.live else BLIND_INTERVAL) * random.uniform(0.8, 1)
        asked_at = time.monotonic()
        due = await self._queue.work_due(horizon=interval)
        self._notice_gaps(asked_at)
        if due.promote_in == timedelta(0):
            await self._queue.promote()
        if due.tick_in == timedelta(0):
            await self._schedules.tick()
        if due.adopt:
            await self._queue.adopt()
        if due.expire:
            await self._queue.expire()
        # Last, since it may have to wait for what a dead host left locked.
        if due.recover and time.monotonic() >= self._recovers_at:
            await self._recover()
        nearest = [wait for wait in (due.promote_in, due.tick_in) if wait]
        return min([interval, *nearest])

    def _notice_gaps(self, asked_at: float) -> None:
        """Count the lease that holders get from when this host reaches the database again."""
        now = time.monotonic()
        lease = self._queue.lease.total_seconds()
        frozen = now - self._reached_at > INTERVAL.total_seconds() * 2
        # A driver repeats a question by itself while there is no answer.
        if self._was_cut_off or frozen or now - asked_at > lease * SLOW_ANSWER:
            self._recovers_at = now + lease
        self._was_cut_off = False
        self._reached_at = now

    async def _recover(self) -> None:
        for task in await self._queue.recover():
            logger.warning(
                "a lease had ended; the task was taken from its holder",
                extra={"task_id": task.id, "attempt": task.attempt, "state": task.state},
            )

    async def _prune(self) -> None:
        pruned = PRUNED_AT_ONCE
        while pruned == PRUNED_AT_ONCE:
            pruned = await self._queue.prune(older_than=self._retention, limit=PRUNED_AT_ONCE)

    async def _sweep(self) -> None:
        stores = (self._stores.workflows, self._stores.contents, self._stores.files)
        swept = sum([await store.sweep() for store in stores])
        if swept:
            logger.info("what killed hosts had left behind was deleted", extra={"count": swept})


async def every(interval: timedelta, duty: Callable[[], Awaitable[object]]) -> None:
    """Repeat *duty*, with jitter so that hosts do not march in step; a database that is away does not end it."""
    while True:
        try:
            await duty()
        except AppDbError as exc:
            logger.warning("a duty could not reach the database; it is repeated", extra={"error": str(exc)})
        await asyncio.sleep(interval.total_seconds() * random.uniform(0.8, 1.2))
