"""The lease renewer: renews the leases that a host holds, and stops work whose lease is or may be lost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

from appdb.errors import AppDbError
from appdb.feed import ChangeFeed, task_topic
from appdb.host.lease_guard import LeaseGuard
from appdb.queue.lease import Lease
from appdb.queue.task_queue import TaskQueue

logger = logging.getLogger(__name__)

BLIND_INTERVAL = timedelta(seconds=0.8)
"""The pause between renewals while the change feed gives no hints, so that a cancel still arrives within a second."""
CLOCK_INTERVAL = timedelta(seconds=0.25)
SAFETY = 0.8
"""The share of a lease after which a holder that could not renew stops by itself, before others may take over."""


class LeaseHolder(Protocol):
    """Work that is done under a lease, such as an attempt of a worker."""

    renewed_at: float
    """When the latest renewal was asked for, by the monotonic clock: the lease cannot have begun later."""

    @property
    def lease(self) -> Lease:
        """The lease that is to be renewed."""

    @property
    def names(self) -> Mapping[str, object]:
        """Fields that name the work in a line of the log."""

    @property
    def lease_lost(self) -> bool:
        """Whether the work was told that its lease is lost."""

    def lose_lease(self) -> None:
        """End the work, since its lease is or may be lost; must not block and must not raise."""


class LeaseRenewer:
    """
    Renews every lease of a host with one write per heartbeat.

    Args:
        queue: The queue of the leases.

        feed: Tells whether hints flow, and when something happened to a task.

        guard: Renews while this process cannot, since other code holds Python's lock.

        heartbeat: The pause between renewals.
    """

    def __init__(self, queue: TaskQueue, feed: ChangeFeed, guard: LeaseGuard, heartbeat: timedelta) -> None:
        self._queue = queue
        self._feed = feed
        self._guard = guard
        self._heartbeat = heartbeat
        self._holders: dict[LeaseHolder, float] = {}
        self._told_at = float("-inf")
        self._look = asyncio.Event()

    def __len__(self) -> int:
        """Return how many leases are renewed."""
        return len(self._holders)

    def add(self, holder: LeaseHolder, until: float) -> None:
        """Renew the lease of *holder* from now on; the guard does so until *until*, by the monotonic clock."""
        self._holders[holder] = until
        self._feed.add(task_topic(holder.lease.task_id), self)

    def ignore_hints(self, holder: LeaseHolder) -> None:
        """Renew the lease of *holder* only when it is due: what happens to its task now is the holder's own doing."""
        self._feed.remove(task_topic(holder.lease.task_id), self)

    def remove(self, holder: LeaseHolder) -> None:
        """Let the lease of *holder* go; harmless when it is not renewed."""
        self.ignore_hints(holder)
        self._holders.pop(holder, None)

    def hint(self) -> None:
        """Renew at once, since something may have happened to a lease."""
        self._look.set()

    async def run(self) -> None:
        """Renew and watch the clock until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew_forever())
            group.create_task(self._watch_clock())

    async def _renew_forever(self) -> None:
        while True:
            interval = self._heartbeat if self._feed.live else min(self._heartbeat, BLIND_INTERVAL)
            with suppress(TimeoutError):  # nothing happened, and a renewal is due
                async with asyncio.timeout(interval.total_seconds()):
                    await self._look.wait()
            self._look.clear()
            self._tell_guard()
            try:
                await self._renew()
            except AppDbError as exc:
                logger.warning("leases could not be renewed; trying again", extra={"error": str(exc)})
                await asyncio.sleep(BLIND_INTERVAL.total_seconds())
                self._look.set()

    def _tell_guard(self) -> None:
        # Before the renewal and not after it: the guard listens for this process, and the database may be slow.
        if time.monotonic() - self._told_at > self._heartbeat.total_seconds() / 2:
            self._told_at = time.monotonic()
            self._guard.live((holder.lease, until) for holder, until in self._holders.items())

    async def _renew(self) -> None:
        holders = {holder.lease: holder for holder in self._holders if not holder.lease_lost}
        # The time of the question, not of its answer: the server may have renewed at any moment between the two.
        asked_at = time.monotonic()
        lost = await self._queue.renew(holders)
        for lease, holder in holders.items():
            if lease in lost:
                holder.lose_lease()
            else:
                holder.renewed_at = asked_at

    async def _watch_clock(self) -> None:
        # By this host's monotonic clock, which needs no database: whoever is cut off must stop before the lease ends.
        longest = self._queue.lease.total_seconds() * SAFETY
        while True:
            await asyncio.sleep(CLOCK_INTERVAL.total_seconds())
            now, guarded_at = time.monotonic(), self._guard.renewed_at()
            for holder in self._holders:
                too_long = now - max(holder.renewed_at, guarded_at) > longest
                if too_long and not holder.lease_lost:
                    logger.error(
                        "a lease may be lost, since the database could not be reached for too long; the attempt stops",
                        extra=dict(holder.names),
                    )
                    holder.lose_lease()
