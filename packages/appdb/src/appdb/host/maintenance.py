"""Maintenance by hosts: every host does it and none leads, so the work that time brings is done when it is due."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Protocol

from appdb.connection import Connection
from appdb.errors import AppDbError
from appdb.feed import TASKS_SCHEDULED, ChangeFeed, Subscription
from appdb.host.duties import Duty, every
from appdb.queue.maintenance import MaintenanceDue
from appdb.queue.task_queue import TaskQueue
from appdb.repos.content import ContentRepository
from appdb.repos.file import FileRepository
from appdb.repos.schedule import ScheduleRepository
from appdb.repos.workflow import WorkflowRepository

logger = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=5)
"""The pause between questions of what is due; with the lease it bounds how long a dead worker's task waits."""
BLIND_INTERVAL = timedelta(seconds=1.2)
"""The pause while the change feed gives no hints: a delayed task then starts within 1.5 s."""
LEAST_PAUSE = timedelta(milliseconds=20)
SLOW_ANSWER = 0.25
"""The share of a lease after which an answer was so late that leases may have run out meanwhile."""
PRUNE_INTERVAL = timedelta(minutes=5)
PRUNED_AT_ONCE = 1_000
MOVED_AT_ONCE = 100
"""Tasks that one call recovers or expires; as long as it finds so many, another call follows."""
SWEEP_INTERVAL = timedelta(minutes=10)
CANCEL_INTERVAL = timedelta(seconds=30)
"""The pause between looks for runs whose cancel was cut off."""
SUCCESSION_INTERVAL = timedelta(minutes=1)
"""The pause between looks for runs that wait although nothing is before them: each looks at all that wait."""
RECOVERY_JITTER = timedelta(seconds=0.5)


class HostMaintenance:
    """
    Promotes, recovers, expires, ticks, prunes and sweeps, each duty beside the others.

    One query tells what there is to do and when more will be, so an idle host asks seldom and yet starts delayed tasks
    on time, and takes the tasks of a dead one when their leases end. A host that was cut off or frozen waits a lease
    before it takes anything from a holder, since the holders may have been cut off with it and must have the time to
    renew.

    Args:
        connection: An open database.

        queue: The queue that is looked after; its lease is how long a holder may take to renew.

        feed: Tells whether hints flow.

        retention: How long final tasks are kept; ``None`` leaves deleting them to other hosts.
    """

    def __init__(self, connection: Connection, queue: TaskQueue, feed: ChangeFeed, retention: timedelta | None) -> None:
        self._queue = queue
        self._feed = feed
        # Killed hosts leave bytes that no document names, and runs that are half deleted.
        self._workflows = WorkflowRepository(connection)
        self._swept: tuple[Sweepable, ...] = (
            self._workflows,
            ContentRepository(connection),
            FileRepository(connection),
        )
        self._retention = retention
        self._promoting, self._filling_claim_keys = Duty(queue.promote), Duty(queue.fill_claim_keys)
        self._ticking = Duty(ScheduleRepository(connection).tick)
        self._expiring, self._recovering = Duty(self._expire), Duty(self._recover)
        self._reached_at = time.monotonic()
        # A host recovers at once when it starts: it was not cut off, and leases of dead hosts may have ended long ago.
        self._recovers_at = float("-inf")
        self._was_cut_off = False

    async def run(self) -> None:
        """Look after the queue until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_after())
            group.create_task(every(PRUNE_INTERVAL, self._prune))
            group.create_task(every(CANCEL_INTERVAL, self._finish_cancels))
            group.create_task(every(SUCCESSION_INTERVAL, self._begin_waiting))
            # Apart from what is due: these take minutes where there is much, and nobody waits for them.
            for repository in self._swept:
                group.create_task(every(SWEEP_INTERVAL, partial(_sweep, repository)))

    async def _look_after(self) -> None:
        async with asyncio.TaskGroup() as group:
            with self._feed.subscribe(TASKS_SCHEDULED) as scheduled:
                while True:
                    await self._pause(scheduled, await self._try_look(group))

    async def _pause(self, scheduled: Subscription, wait: timedelta) -> None:
        await scheduled.wait(wait)
        # Jitter, so that hosts do not march in step; and many hints in a moment are one reason to look.
        await asyncio.sleep(LEAST_PAUSE.total_seconds() * random.uniform(0.5, 1))

    async def _try_look(self, group: asyncio.TaskGroup) -> timedelta:
        try:
            return await self._look(group)
        except AppDbError as exc:
            self._was_cut_off = True
            logger.warning("maintenance could not reach the database; trying again", extra={"error": str(exc)})
        except Exception:
            logger.exception("maintenance failed by our own fault; trying again")
        return BLIND_INTERVAL

    async def _look(self, group: asyncio.TaskGroup) -> timedelta:
        """Begin what is due, and return how soon to look again."""
        interval = (INTERVAL if self._feed.live else BLIND_INTERVAL) * random.uniform(0.8, 1)
        asked_at = time.monotonic()
        due = await self._queue.maintenance_due(horizon=interval)
        self._notice_gaps(asked_at)
        self._begin(due, group)
        return min([interval, *(wait for wait in self._waits(due) if wait > timedelta(0))])

    def _waits(self, due: MaintenanceDue) -> Iterator[timedelta]:
        yield from (wait for wait in (due.promote_in, due.tick_in, due.next_tick_in) if wait is not None)
        if due.recover:
            yield timedelta(seconds=max(self._recovers_at - time.monotonic(), 0))
        elif due.recover_in is not None:
            # All hosts see the same lease end.
            yield due.recover_in + RECOVERY_JITTER * random.random()

    def _begin(self, due: MaintenanceDue, group: asyncio.TaskGroup) -> None:
        at_once = timedelta(0)
        if due.promote_in == at_once:
            self._promoting.begin(group)
        if due.tick_in == at_once:
            self._ticking.begin(group)
        if due.fill_claim_keys:
            self._filling_claim_keys.begin(group)
        if due.expire:
            self._expiring.begin(group)
        if due.recover and time.monotonic() >= self._recovers_at:
            self._recovering.begin(group)

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
        # In batches until one is not full, so that a dead host's hundreds of tasks do not wait for the next look.
        recovered = MOVED_AT_ONCE
        while recovered == MOVED_AT_ONCE:
            tasks = await self._queue.recover(limit=MOVED_AT_ONCE)
            recovered = len(tasks)
            for task in tasks:
                logger.warning(
                    "a lease had ended; the task was taken from its holder",
                    extra={"task_id": task.id, "attempt": task.attempt, "state": task.state},
                )

    async def _expire(self) -> None:
        while len(await self._queue.expire(limit=MOVED_AT_ONCE)) == MOVED_AT_ONCE:
            continue

    async def _prune(self) -> None:
        if self._retention is None:
            return
        while await self._queue.prune(older_than=self._retention, limit=PRUNED_AT_ONCE) == PRUNED_AT_ONCE:
            continue

    async def _finish_cancels(self) -> None:
        if finished := await self._workflows.finish_cancels():
            logger.info("what still worked for cancelled runs was stopped", extra={"count": finished})

    async def _begin_waiting(self) -> None:
        if begun := await self._workflows.begin_waiting():
            logger.info("runs began that waited although no other was open", extra={"count": begun})


class Sweepable(Protocol):
    """A repository that may hold remains of hosts that were killed."""

    async def sweep(self) -> int:
        """Delete what no document names in a part of the repository, and return how much that was."""
        ...


async def _sweep(repository: Sweepable) -> None:
    if swept := await repository.sweep():
        told = {"store": type(repository).__name__, "count": swept}
        logger.info("what killed hosts had left behind was deleted", extra=told)
