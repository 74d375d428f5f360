"""The claim loop: claims tasks whenever there is room for some, and waits while there is none or nothing is due."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from datetime import timedelta

from appdb import AppDbError, ChangeFeed
from appdb.feed import TASKS_READY, Subscription
from appworker.worker.claiming import TaskClaiming
from appworker.worker.options import WorkerOptions
from appworker.worker.running_attempts import RunningAttempts
from appworker.worker.slots import Slots

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=10)
"""Pause between claims of an idle worker while hints flow: a lost hint costs at most this."""
BLIND_POLL = timedelta(seconds=1)
"""The same without hints."""
LIMITED_POLL = timedelta(seconds=0.25)
"""Pause after a limit left due tasks where they are: no hint tells when the limit has room."""
COALESCE_SECONDS = 0.005
"""Pause after a claim that filled all slots, so that the next claim asks for several."""
BUSY_STREAK_SECONDS = 0.2
"""How long short tasks have come one after the other before the change feed is paused."""
HEAD_START_SECONDS = 0.003
"""Head start of the first task after an idle time before the next claim."""
ERROR_PAUSE_SECONDS = (0.5, 1.5)
"""Bounds of the pause after a claim that failed; random, so that hosts do not march in step."""
SETTLING_PER_SLOT = 4
"""Attempts whose outcome is still being written, for each slot, before nothing more is claimed."""


class ClaimLoop:
    """
    Decides when to claim, and how many tasks.

    Args:
        claiming: Makes the claims.

        options: The worker's slots.

        slots: Room for attempts.

        running: Takes the claimed tasks.

        feed: Hints that tasks are ready.

        changed: Set by slots and attempts when there may be room for more.
    """

    def __init__(
        self,
        claiming: TaskClaiming,
        options: WorkerOptions,
        slots: Slots,
        running: RunningAttempts,
        feed: ChangeFeed,
        changed: asyncio.Event,
    ) -> None:
        self._claiming = claiming
        self._max_settling = options.slots * SETTLING_PER_SLOT
        self._slots = slots
        self._running = running
        self._feed = feed
        self._changed = changed
        self._stopped = False
        self._was_idle = True
        self._filled_slots = False
        self._busy_streak = BusyStreak(feed)

    async def run(self) -> None:
        """Claim until ``stop`` is called."""
        with self._feed.subscribe(TASKS_READY) as ready:
            while not self._stopped:
                try:
                    await self._claim_or_wait(ready)
                except Exception:
                    logger.exception("claiming failed by our own fault; trying again")
                    await _pause_after_error()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopped = True
        self._changed.set()

    def _room(self) -> int:
        """Return the number of tasks to claim now."""
        # Outcomes that pile up mean that the database is slow: more tasks would only hold more leases.
        return 0 if self._running.settling > self._max_settling else self._slots.room

    async def _claim_or_wait(self, ready: Subscription) -> None:
        if self._filled_slots:
            await self._coalesce_slots()
        self._changed.clear()
        if self._stopped:  # while slots were coalesced: what ``stop`` set is cleared
            return
        room = self._room()
        if room == 0:
            await self._wait_for_room()
            return
        # After an idle time one task is the likely reason to wake up, and one is claimed in a single round trip.
        woken = self._was_idle
        claimed = await self._claim_and_begin(1 if woken else room)
        self._was_idle = claimed == 0
        self._busy_streak.follow(busy=claimed > 0 and self._slots.prefetch > 0)
        self._filled_slots = claimed == room and not woken
        if claimed == 0:
            await self._wait_for_work(ready)
        elif woken:
            await self._until_changed(HEAD_START_SECONDS)

    async def _claim_and_begin(self, wanted: int) -> int:
        try:
            claimed = await self._claiming.claim(wanted)
        except AppDbError as exc:
            logger.warning("no tasks could be claimed; trying again", extra={"error": str(exc)})
            await _pause_after_error()
            return 0
        if claimed.tasks:
            self._slots.claim_took(claimed.seconds)
        for task in claimed.tasks:
            self._running.begin(task, claimed.asked_at)
        return len(claimed.tasks)

    async def _coalesce_slots(self) -> None:
        """Wait a moment for more slots to become free: one claim for many costs as much as one for few."""
        clock = asyncio.get_running_loop()
        until = clock.time() + COALESCE_SECONDS
        while self._room() < self._slots.worth_a_claim and not self._stopped and (left := until - clock.time()) > 0:
            await self._until_changed(left)

    async def _wait_for_room(self) -> None:
        if not await self._until_changed(BUSY_STREAK_SECONDS):
            self._busy_streak.end()
            await self._changed.wait()

    async def _wait_for_work(self, ready: Subscription) -> None:
        poll = POLL if self._feed.live else BLIND_POLL
        if self._claiming.limit_reached:
            poll = LIMITED_POLL
        # Jitter, so that idle hosts do not march in step.
        hinted = asyncio.create_task(ready.wait(poll * random.uniform(0.8, 1)))
        changed = asyncio.create_task(self._changed.wait())
        await asyncio.wait({hinted, changed}, return_when=asyncio.FIRST_COMPLETED)
        hinted.cancel()
        changed.cancel()

    async def _until_changed(self, seconds: float) -> bool:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._stopped else seconds):
                return await self._changed.wait()
        return False


class BusyStreak:
    """
    Pauses the change feed while short tasks come one after the other: a claim finds the next ones anyway.

    Args:
        feed: The worker's change feed.
    """

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed
        self._since: float | None = None

    def follow(self, *, busy: bool) -> None:
        """Follow a claim: *busy* if it gave tasks, and tasks are short enough to prefetch."""
        if not busy:
            self.end()
        elif self._since is None:
            self._since = time.monotonic()
        elif time.monotonic() - self._since > BUSY_STREAK_SECONDS:
            # A change stream makes the server read every change of the deployment, whatever it filters.
            self._feed.pause()

    def end(self) -> None:
        """Follow changes again."""
        self._since = None
        self._feed.resume()


async def _pause_after_error() -> None:
    await asyncio.sleep(random.uniform(*ERROR_PAUSE_SECONDS))
