"""The runner: the life of a worker process from announcement to the end of its drain."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from appdb import ChangeFeed, Claimer, Database, TaskQueue, uuid7_str
from appdb.feed import QUEUES
from appdb.host import HostMaintenance, LeaseGuard, LeaseRenewer, every, survive
from appworker.actors.loading import ActorsByHandler
from appworker.attempt.attempt_runner import AttemptRunner
from appworker.attempt.services import AttemptServices
from appworker.health.monitor import Monitor
from appworker.worker.announcer import ANNOUNCE_INTERVAL, SIGN_OF_LIFE_INTERVAL, Announcer
from appworker.worker.claim_loop import ClaimLoop
from appworker.worker.claiming import TaskClaiming
from appworker.worker.options import WorkerOptions
from appworker.worker.running_attempts import RunningAttempts
from appworker.worker.slots import Slots

logger = logging.getLogger(__name__)

RESTART_PAUSE_SECONDS = (0.5, 1.5)
"""Bounds of the pause before a loop that failed begins again; random, so that hosts do not march in step."""
LAST_WRITES = timedelta(seconds=6)
"""How long tasks may take to be released once the time to drain is over."""


class Runner:
    """
    Runs tasks until it is told to drain.

    Args:
        database: An open database.

        queue: The queue to claim from.

        actors: The actors to offer.

        options: How to work.

        guard: Renews leases while this process cannot.

        monitor: Is told what happens.
    """

    def __init__(
        self,
        database: Database,
        queue: TaskQueue,
        actors: ActorsByHandler,
        options: WorkerOptions,
        guard: LeaseGuard,
        monitor: Monitor,
    ) -> None:
        self.worker_id = uuid7_str("wrk_")
        self._queue = queue
        self._options = options
        self._actors = actors
        self._monitor = monitor
        self._guard = guard
        self._draining = self._at_once = False
        self._feed = _feed_of(database, queue)
        self._lease_renewer = LeaseRenewer(queue, self._feed, guard, options.heartbeat)
        self._maintenance = HostMaintenance(database, queue, self._feed, options.retention)
        self._services = AttemptServices.of(database, queue)
        self._announcer = Announcer(self.worker_id, self._services.registry, actors, options, monitor.health)
        self._attempt_runner = AttemptRunner(self._lease_renewer)
        changed = asyncio.Event()
        self._slots = Slots(options.slots, changed.set)
        self._running = RunningAttempts(actors, self._services, self._attempt_runner, self._slots, monitor, changed.set)
        claimer = Claimer(worker_id=self.worker_id, queues=options.queues, handlers=tuple(actors))
        claiming = TaskClaiming(queue, claimer, actors, guard, monitor)
        self._claim_loop = ClaimLoop(claiming, options, self._slots, self._running, self._feed, changed)
        self._show_state()

    def drain(self) -> None:
        """Stop claiming; a second call releases everything at once."""
        if self._draining:
            self._at_once = True
            self._running.stop_all()
        self._draining = True
        self._slots.close()
        self._monitor.health.draining()
        self._claim_loop.stop()

    def hang_up(self) -> None:
        """Stop claiming, once: a terminal that closes says so more than once."""
        if not self._draining:
            self.drain()

    async def run(self) -> None:
        """Work until drained."""
        # Before anything else: API hosts accept tasks for what was announced, and "ready" must mean that they do.
        await self._announcer.announce()
        await survive(partial(self._announcer.warn_of_unknown_queues, self._queue))
        work = asyncio.create_task(self._work())
        running = [work, *(asyncio.create_task(_restarted(loop)) for loop in self._loops())]
        try:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if work not in done:
                logger.error("a loop of the worker has ended, which cannot be survived; it drains")
                self.drain()
                await asyncio.wait([work])
            for ended in {work, *done}:
                ended.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._attempt_runner.close()

    def _loops(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self._feed.run,
            self._lease_renewer.run,
            self._guard.run,
            self._services.flusher.run,
            self._maintenance.run,
            partial(every, SIGN_OF_LIFE_INTERVAL, self._announcer.give_sign_of_life),
            partial(every, ANNOUNCE_INTERVAL, self._announcer.announce),
        ]

    async def _work(self) -> None:
        self._monitor.health.announced()
        offered = {"worker_id": self.worker_id, "actors": sorted(self._actors)}
        logger.info("ready", extra={**offered, **self._options.shape})
        await self._claim_loop.run()
        await self._finish_attempts()
        await self._announcer.withdraw()
        logger.info("stopped", extra={"worker_id": self.worker_id})

    async def _finish_attempts(self) -> None:
        if not self._running:
            return
        logger.info("draining", extra={"running": len(self._running), **self._options.shape})
        await self._running.wait(timedelta(0) if self._at_once else self._options.drain)
        self._running.stop_all()
        await self._running.wait(LAST_WRITES)

    def _show_state(self) -> None:
        self._monitor.follow(
            leases=self._lease_renewer.__len__,
            running=lambda: self._slots.busy,
            feed_live=lambda: self._feed.live,
            blocked=lambda: self._attempt_runner.blocked_seconds,
        )


class QueueChanges:
    """
    Hears that a queue was paused or resumed.

    Args:
        queue: The queue whose snapshot is then out of date.
    """

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue

    def hint(self) -> None:
        """Have the next claim look again."""
        self._queue.invalidate_snapshot()


def _feed_of(database: Database, queue: TaskQueue) -> ChangeFeed:
    feed = ChangeFeed(database, events=False)
    feed.add(QUEUES, QueueChanges(queue))
    queue.rely_on_change_feed()
    return feed


async def _restarted(loop: Callable[[], Awaitable[None]]) -> None:
    """Run *loop*, and begin it again whenever it fails: a fault of one must not lose what the worker holds."""
    while True:
        await survive(loop)
        await asyncio.sleep(random.uniform(*RESTART_PAUSE_SECONDS))
