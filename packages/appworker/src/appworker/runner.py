"""The life of a worker process: announce, claim, run, keep leases, look after the queue, drain."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from appdb import (
    AppDbError,
    ChangeFeed,
    Claimer,
    ContentRepository,
    Database,
    RegistryRepository,
    Task,
    TaskQueue,
    uuid7_str,
)
from appdb.feed import TASKS_READY, Subscription
from appdb.models.registry import AnnouncedWorker
from appworker.attempt import Attempt
from appworker.keeper import LeaseKeeper
from appworker.performance import Performer
from appworker.registry import ActorsByHandler, announcement
from appworker.stop import StopReason

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=5)
"""How often to ask for tasks while hints flow: a lost hint costs at most this."""
BLIND_POLL = timedelta(seconds=1)
ANNOUNCE_INTERVAL = timedelta(seconds=10)
PROMOTE_INTERVAL = timedelta(seconds=1.2)
RECOVER_INTERVAL = timedelta(seconds=5)
LAST_WRITES = timedelta(seconds=6)
"""How long handing back may take once the time to drain is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How a worker works.

    Args:
        queues: The queues to claim from.
        slots: How many tasks run at a time.
        heartbeat: The pause between renewals of leases.
        drain: How long running tasks may go on after the first signal to stop.
    """

    queues: tuple[str, ...]
    slots: int
    heartbeat: timedelta
    drain: timedelta


class Runner:
    """Runs tasks until it is told to drain.

    Args:
        database: An open database.
        queue: Where tasks come from.
        actors: What is offered.
        options: How to work.
    """

    def __init__(self, database: Database, queue: TaskQueue, actors: ActorsByHandler, options: RunnerOptions) -> None:
        self.worker_id = uuid7_str("wrk_")
        self._queue = queue
        self._actors = actors
        self._options = options
        self._registry = RegistryRepository(database)
        self._contents = ContentRepository(database)
        self._feed = ChangeFeed(database, events=False)
        self._keeper = LeaseKeeper(queue, self._feed, options.heartbeat)
        self._performer = Performer(self._feed, self._keeper)
        self._running: dict[asyncio.Task[None], Attempt] = {}
        self._changed = asyncio.Event()
        self._draining = False

    def drain(self) -> None:
        """Stop claiming; a second call hands everything back at once."""
        if self._draining:
            self._stop_all()
        self._draining = True
        self._changed.set()

    async def run(self) -> None:
        """Work until drained."""
        # Before anything else: API hosts accept tasks for what was announced, and "ready" must mean that they do.
        await self._announce()
        duties = [
            asyncio.create_task(self._feed.run()),
            asyncio.create_task(self._keeper.run()),
            asyncio.create_task(_every(ANNOUNCE_INTERVAL, self._announce)),
            asyncio.create_task(_every(PROMOTE_INTERVAL, self._queue.promote)),
            asyncio.create_task(_every(RECOVER_INTERVAL, self._recover)),
        ]
        work = asyncio.create_task(self._work())
        try:
            done, _ = await asyncio.wait({work, *duties}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()  # a duty ends only by an error, which must end the process and be seen
        finally:
            for task in (work, *duties):
                task.cancel()
            await asyncio.gather(work, *duties, return_exceptions=True)

    async def _work(self) -> None:
        logger.info("ready", extra={"worker_id": self.worker_id, "actors": sorted(self._actors), **self._shape()})
        with self._feed.subscribe(TASKS_READY) as ready:
            while not self._draining:
                await self._claim_or_wait(ready)
        await self._finish_running()
        await self._withdraw()
        logger.info("stopped", extra={"worker_id": self.worker_id})

    def _shape(self) -> dict[str, object]:
        return {"queues": list(self._options.queues), "slots": self._options.slots}

    async def _claim_or_wait(self, ready: Subscription) -> None:
        free = self._options.slots - len(self._running)
        self._changed.clear()
        if free == 0:
            await self._changed.wait()
            return
        tasks, asked_at = await self._claim(free)
        for task in tasks:
            self._start(task, asked_at)
        if not tasks and not self._draining:
            await self._wait_for_work(ready)

    async def _claim(self, free: int) -> tuple[list[Task], float]:
        claimer = Claimer(worker_id=self.worker_id, queues=self._options.queues, handlers=tuple(self._actors))
        asked_at = time.monotonic()
        try:
            return await self._queue.claim(claimer, limit=free), asked_at
        except AppDbError as exc:
            logger.warning("no tasks could be claimed; trying again", extra={"error": str(exc)})
            await asyncio.sleep(random.uniform(0.5, 1.5))
            return [], asked_at

    async def _wait_for_work(self, ready: Subscription) -> None:
        poll = POLL if self._feed.live else BLIND_POLL
        hinted = asyncio.create_task(ready.wait(poll * random.uniform(0.8, 1)))
        changed = asyncio.create_task(self._changed.wait())
        await asyncio.wait({hinted, changed}, return_when=asyncio.FIRST_COMPLETED)
        hinted.cancel()
        changed.cancel()

    def _start(self, task: Task, claimed_at: float) -> None:
        attempt = Attempt(task, self._queue, self._contents, claimed_at=claimed_at)
        actor = self._actors[f"{task.actor}@{task.actor_version}"]
        running = asyncio.create_task(self._performer.perform(attempt, actor))
        self._running[running] = attempt
        running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        attempt = self._running.pop(running)
        self._changed.set()
        if not running.cancelled() and (error := running.exception()) is not None:
            # The task's outcome was not written; its lease will end, and it runs again.
            logger.error(
                "an attempt could not be settled; it runs again once its lease has ended",
                extra={"task_id": attempt.task.id, "attempt": attempt.task.attempt},
                exc_info=error,
            )

    async def _finish_running(self) -> None:
        if not self._running:
            return
        logger.info("draining", extra={"running": len(self._running), **self._shape()})
        await asyncio.wait(set(self._running), timeout=self._options.drain.total_seconds())
        self._stop_all()
        if self._running:
            await asyncio.wait(set(self._running), timeout=LAST_WRITES.total_seconds())

    def _stop_all(self) -> None:
        for attempt in self._running.values():
            attempt.stop.throw(StopReason.DRAIN)

    async def _announce(self) -> None:
        me = AnnouncedWorker(
            id=self.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=list(self._options.queues),
            actors=sorted(self._actors),
            slots=self._options.slots,
        )
        await self._registry.announce(me, [announcement(actor) for actor in self._actors.values()])

    async def _withdraw(self) -> None:
        try:
            await self._registry.withdraw(self.worker_id)
        except AppDbError as exc:
            logger.warning("this worker stays announced until its entry expires", extra={"error": str(exc)})

    async def _recover(self) -> None:
        for task in await self._queue.recover():
            logger.warning(
                "a lease had ended; the task was taken from its holder",
                extra={"task_id": task.id, "attempt": task.attempt, "state": task.state},
            )


async def _every(interval: timedelta, duty: Callable[[], Awaitable[object]]) -> None:
    """Repeat *duty*, with jitter so that hosts do not march in step; a database that is away does not end it."""
    while True:
        try:
            await duty()
        except AppDbError as exc:
            logger.warning("a duty could not reach the database; it is repeated", extra={"error": str(exc)})
        await asyncio.sleep(interval.total_seconds() * random.uniform(0.8, 1.2))
