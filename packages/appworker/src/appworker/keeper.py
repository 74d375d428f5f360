"""Keeps the leases of running attempts, and stops those whose lease is or may be lost."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import timedelta

from appdb import AppDbError, ChangeFeed, TaskQueue
from appdb.feed import task_topic
from appworker.attempt.attempt import Attempt
from appworker.execution.stop import StopReason
from appworker.lease_guard import LeaseGuard

logger = logging.getLogger(__name__)

BLIND_INTERVAL = timedelta(seconds=0.8)
"""How often to look while the change feed gives no hints, so that a cancel still arrives within a second."""
CLOCK_INTERVAL = timedelta(seconds=0.25)
SAFETY = 0.8
"""The share of a lease after which a holder that could not renew stops by itself, before others may take over."""


class LeaseKeeper:
    """
    Renews every lease with one write per heartbeat.

    Args:
        queue: Where the leases are.

        feed: Tells whether hints flow, and when something happened to a task.

        guard: Renews while this process cannot, since an actor holds Python's lock.

        heartbeat: The pause between renewals.
    """

    def __init__(self, queue: TaskQueue, feed: ChangeFeed, guard: LeaseGuard, heartbeat: timedelta) -> None:
        self._queue = queue
        self._feed = feed
        self._guard = guard
        self._heartbeat = heartbeat
        self._attempts: dict[Attempt, float] = {}
        self._told_at = float("-inf")
        self._look = asyncio.Event()

    def __len__(self) -> int:
        """How many leases are kept."""
        return len(self._attempts)

    def add(self, attempt: Attempt, until: float) -> None:
        """Keep the lease of *attempt* from now on; the guard does so until *until*, by the monotonic clock."""
        self._attempts[attempt] = until
        self._feed.add(task_topic(attempt.task.id), self)

    def settling(self, attempt: Attempt) -> None:
        """Keep the lease of *attempt*, but do not look when something happens to its task: that is its own doing."""
        self._feed.remove(task_topic(attempt.task.id), self)

    def remove(self, attempt: Attempt) -> None:
        """Let the lease of *attempt* go."""
        self.settling(attempt)
        self._attempts.pop(attempt, None)

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
        if time.monotonic() - self._told_at > self._heartbeat.total_seconds() / 2:
            self._told_at = time.monotonic()
            self._guard.live((attempt.lease, until) for attempt, until in self._attempts.items())

    async def _renew(self) -> None:
        held = (attempt for attempt in self._attempts if attempt.stop.reason is not StopReason.LEASE_LOST)
        attempts = {attempt.lease: attempt for attempt in held}
        asked_at = time.monotonic()
        lost = await self._queue.renew(attempts)
        for lease, attempt in attempts.items():
            if lease in lost:
                attempt.stop.throw(StopReason.LEASE_LOST)
            else:
                attempt.renewed_at = asked_at

    async def _watch_clock(self) -> None:
        longest = self._queue.lease.total_seconds() * SAFETY
        while True:
            await asyncio.sleep(CLOCK_INTERVAL.total_seconds())
            now, guarded_at = time.monotonic(), self._guard.renewed_at()
            for attempt in self._attempts:
                too_long = now - max(attempt.renewed_at, guarded_at) > longest
                if too_long and attempt.stop.reason is not StopReason.LEASE_LOST:
                    logger.error(
                        "a lease may be lost, since the database could not be reached for too long; the attempt stops",
                        extra=attempt.names,
                    )
                    attempt.stop.throw(StopReason.LEASE_LOST)
