"""The life of a worker process: announce, claim, run, keep leases, look after the queue, drain."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from pydantic import BaseModel

from appdb import (
    AppDbError,
    ChangeFeed,
    Claimer,
    ContentRepository,
    Database,
    Lease,
    RegistryRepository,
    Task,
    TaskQueue,
    TaskState,
    uuid7_str,
)
from appdb.feed import QUEUES, TASKS_READY, Subscription
from appdb.host import HostMaintenance, LeaseGuard, LeaseRenewer, every, survive
from appdb.models import AnnouncedActor, AnnouncedWorker
from appworker.actors.base import Actor
from appworker.actors.loading import ActorsByHandler, announcement
from appworker.attempt.attempt import Attempt, AttemptServices
from appworker.attempt.attempt_runner import AttemptRunner, renewed_until
from appworker.attempt.commit_batcher import CommitBatcher
from appworker.attempt.flusher import Flusher
from appworker.execution.stop import StopReason
from appworker.health.metrics import Ending
from appworker.health.monitor import Monitor
from appworker.worker.slots import Slots, SlotTicket

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=10)
"""How often to ask for tasks while hints flow: a lost hint costs at most this."""
BLIND_POLL = timedelta(seconds=1)
LIMITED_POLL = timedelta(seconds=0.25)
"""How soon to ask again after a limit left due tasks where they are: nobody tells when there is room."""
SIGN_OF_LIFE_INTERVAL = timedelta(seconds=10)
ANNOUNCE_INTERVAL = timedelta(minutes=10)
COALESCE_SECONDS = 0.005
"""How long a full claim is followed by no other while slots become free."""
BUSY_STREAK_SECONDS = 0.2
"""How long short tasks have come one after the other before the change feed is paused."""
HEAD_START_SECONDS = 0.003
"""How long after a quiet time the first task has the processor for itself."""
PAUSE_SECONDS = (0.5, 1.5)
"""How long what failed waits before it is tried again; a random time between, so that hosts do not march in step."""
LAST_WRITES = timedelta(seconds=6)
"""How long handing back may take once the time to drain is over."""
UNSETTLED_PER_SLOT = 4
"""Attempts whose outcome is still being written, for each slot, before nothing more is claimed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How a worker works.

    Args:
        queues: The queues to claim from.
        slots: How many tasks run at a time.
        heartbeat: The pause between renewals of leases.
        drain: How long running tasks may go on after the first signal to stop.
        retention: How long final tasks are kept.
        providers: What works on this host, to be announced.
    """

    queues: tuple[str, ...]
    slots: int
    heartbeat: timedelta
    drain: timedelta
    retention: timedelta
    providers: tuple[str, ...] = ()


class Runner:
    """Runs tasks until it is told to drain.

    Args:
        database: An open database.
        queue: Where tasks come from.
        actors: What is offered.
        options: How to work.
        guard: Renews leases while this process cannot.
        monitor: Is told what happens.
    """

    def __init__(
        self,
        database: Database,
        queue: TaskQueue,
        actors: ActorsByHandler,
        options: RunnerOptions,
        guard: LeaseGuard,
        monitor: Monitor,
    ) -> None:
        self.worker_id = uuid7_str("wrk_")
        self._queue = queue
        self._actors = actors
        self._options = options
        self._monitor = monitor
        self._registry = RegistryRepository(database)
        self._feed = ChangeFeed(database, events=False)
        self._feed.add(QUEUES, _QueuesChanged(queue))
        queue.rely_on_change_feed()
        self._guard = guard
        self._lease_renewer = LeaseRenewer(queue, self._feed, guard, options.heartbeat)
        contents = ContentRepository(database)
        self._maintenance = HostMaintenance(database, queue, self._feed, options.retention)
        self._desk = AttemptServices(
            queue=queue,
            contents=contents,
            registry=self._registry,
            outbox=CommitBatcher(queue),
            flusher=Flusher(),
        )
        self._performer = AttemptRunner(self._lease_renewer)
        self._attempts: dict[asyncio.Task[None], Attempt] = {}
        self._more_is_due = False
        self._was_idle = True
        self._rushed_since: float | None = None
        self._changed = asyncio.Event()
        self._slots = Slots(options.slots, self._changed.set)
        self._draining = self._at_once = False
        self._telling = asyncio.Lock()
        self._withdrawn = False
        monitor.follow(
            leases=self._lease_renewer.__len__,
            running=lambda: self._slots.busy,
            feed_live=lambda: self._feed.live,
            blocked=lambda: self._performer.blocked_seconds,
        )

    def drain(self) -> None:
        """Stop claiming; a second call hands everything back at once."""
        if self._draining:
            self._at_once = True
            self._stop_all()
        self._draining = True
        self._slots.close()
        self._monitor.health.draining()
        self._changed.set()

    def hang_up(self) -> None:
        """Stop claiming, once: a terminal that closes says so more than once."""
        if not self._draining:
            self.drain()

    async def run(self) -> None:
        """Work until drained."""
        # Before anything else: API hosts accept tasks for what was announced, and "ready" must mean that they do.
        await self._announce()
        await survive(self._doubt_queues)
        loops: list[Callable[[], Awaitable[None]]] = [
            self._feed.run,
            self._lease_renewer.run,
            self._guard.run,
            self._desk.outbox.run,
            self._desk.flusher.run,
            self._maintenance.run,
            partial(every, SIGN_OF_LIFE_INTERVAL, self._give_sign_of_life),
            partial(every, ANNOUNCE_INTERVAL, self._announce),
        ]
        work = asyncio.create_task(self._work())
        running = [work, *(asyncio.create_task(_again_and_again(loop)) for loop in loops)]
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
            await self._performer.close()

    async def _work(self) -> None:
        self._monitor.health.announced()
        logger.info("ready", extra={"worker_id": self.worker_id, "actors": sorted(self._actors), **self._shape()})
        with self._feed.subscribe(TASKS_READY) as ready:
            while not self._draining:
                await self._claim_or_pause(ready)
        await self._finish_running()
        await self._withdraw()
        logger.info("stopped", extra={"worker_id": self.worker_id})

    async def _doubt_queues(self) -> None:
        """Say which queues are not known here: a name that is misspelt is a queue that stays empty."""
        doubtful = set(self._options.queues) - {actor.queue for actor in self._actors.values()}
        if doubtful:
            doubtful -= {actor.queue for actor in await self._registry.actors()}
            doubtful -= await self._queue.paused()
        for queue in sorted(doubtful):
            logger.warning("no actor and no pause names a queue of this worker; check its name", extra={"queue": queue})

    def _shape(self) -> dict[str, object]:
        return {"queues": list(self._options.queues), "slots": self._options.slots}

    def _room(self) -> int:
        """Return how many tasks to claim now."""
        unsettled = len(self._attempts) - self._slots.busy - self._slots.waiting
        if unsettled > self._options.slots * UNSETTLED_PER_SLOT:
            return 0
        return self._slots.room

    async def _claim_or_pause(self, ready: Subscription) -> None:
        try:
            await self._claim_or_wait(ready)
        except Exception:
            logger.exception("claiming failed by our own fault; trying again")
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))

    async def _claim_or_wait(self, ready: Subscription) -> None:
        if self._more_is_due:
            await self._gather_room()
        self._changed.clear()
        if self._draining:  # it was told while slots were gathered, and what it set is cleared
            return
        room = self._room()
        if room == 0:
            if not await self._until_changed(BUSY_STREAK_SECONDS):
                self._end_rush()
                await self._changed.wait()
            return
        # After a quiet time one task is the likely reason to wake up, and one is taken in a single round trip.
        woken = self._was_idle
        claimed = await self._claim_and_start(1 if woken else room)
        self._was_idle = claimed == 0
        self._listen_or_not()
        self._more_is_due = claimed == room and not woken
        if claimed == 0:
            await self._wait_for_work(ready)
        elif woken:
            await self._until_changed(HEAD_START_SECONDS)

    async def _claim_and_start(self, wanted: int) -> int:
        tasks, asked_at = await self._claim(wanted)
        if tasks:
            self._guard.hold([(Lease.of(task), renewed_until(task, self._actor(task))) for task in tasks])
        for task in tasks:
            self._start(task, asked_at)
        return len(tasks)

    def _listen_or_not(self) -> None:
        """Follow no changes while short tasks come one after the other: a claim finds the next ones anyway."""
        if self._was_idle or not self._slots.prefetch:
            self._end_rush()
        elif self._rushed_since is None:
            self._rushed_since = time.monotonic()
        elif time.monotonic() - self._rushed_since > BUSY_STREAK_SECONDS:
            self._feed.pause()

    def _end_rush(self) -> None:
        self._rushed_since = None
        self._feed.resume()

    async def _until_changed(self, seconds: float) -> bool:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._draining else seconds):
                return await self._changed.wait()
        return False

    async def _gather_room(self) -> None:
        """Wait a moment for more slots to become free: one claim for many costs as much as one for few."""
        clock = asyncio.get_running_loop()
        until = clock.time() + COALESCE_SECONDS
        while self._room() < self._slots.worth_a_claim and not self._draining and (left := until - clock.time()) > 0:
            await self._until_changed(left)

    async def _claim(self, wanted: int) -> tuple[list[Task], float]:
        claimer = Claimer(worker_id=self.worker_id, queues=self._options.queues, handlers=tuple(self._actors))
        asked_at = time.monotonic()
        try:
            tasks = await self._queue.claim(claimer, limit=wanted)
        except AppDbError as exc:
            logger.warning("no tasks could be claimed; trying again", extra={"error": str(exc)})
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
            return [], asked_at
        self._monitor.health.database_answered()
        took = time.monotonic() - asked_at
        self._monitor.metrics.claimed(tasks, took)
        if tasks:
            self._slots.claim_took(took)
        return tasks, asked_at

    async def _wait_for_work(self, ready: Subscription) -> None:
        poll = POLL if self._feed.live else BLIND_POLL
        if self._queue.limit_reached:
            poll = LIMITED_POLL
        hinted = asyncio.create_task(ready.wait(poll * random.uniform(0.8, 1)))
        changed = asyncio.create_task(self._changed.wait())
        await asyncio.wait({hinted, changed}, return_when=asyncio.FIRST_COMPLETED)
        hinted.cancel()
        changed.cancel()

    def _actor(self, task: Task) -> Actor[BaseModel]:
        return self._actors[f"{task.actor}@{task.actor_version}"]

    def _start(self, task: Task, claimed_at: float) -> None:
        attempt = Attempt(task, self._desk, claimed_at=claimed_at)
        running = asyncio.create_task(self._perform(attempt, self._actor(task), self._slots.request(), claimed_at))
        self._attempts[running] = attempt
        running.add_done_callback(self._settled)

    async def _perform(self, attempt: Attempt, actor: Actor[BaseModel], turn: SlotTicket, claimed_at: float) -> None:
        try:
            await self._performer.perform(attempt, actor, turn)
        finally:
            ending = await self._ending(attempt)
            seconds = time.monotonic() - claimed_at
            self._monitor.metrics.ended(attempt.task, ending, seconds)
            logger.info("a task ended", extra={**attempt.names, "outcome": ending, "seconds": round(seconds, 3)})

    async def _ending(self, attempt: Attempt) -> Ending:
        """Tell apart, by a look at the task, a cancel from a lease that another worker may have now."""
        if attempt.ending is not Ending.UNSETTLED or attempt.stop.reason is not StopReason.LEASE_LOST:
            return attempt.ending
        try:
            task = await self._queue.get(attempt.task.id, owner_id=attempt.task.owner_id)
        except AppDbError:
            return Ending.LOST  # pruned meanwhile, or the database is away, which loses leases too
        return Ending.CANCELLED if task.state is TaskState.CANCELLED else Ending.LOST

    def _settled(self, running: asyncio.Task[None]) -> None:
        attempt = self._attempts.pop(running)
        self._changed.set()
        if not running.cancelled() and (error := running.exception()) is not None:
            # The task's outcome was not written; its lease will end, and it runs again.
            logger.error(
                "an attempt could not be settled; it runs again once its lease has ended",
                extra=attempt.names,
                exc_info=error,
            )

    async def _finish_running(self) -> None:
        if not self._attempts:
            return
        logger.info("draining", extra={"running": len(self._attempts), **self._shape()})
        timeout = 0 if self._at_once else self._options.drain.total_seconds()
        await asyncio.wait(set(self._attempts), timeout=timeout)
        self._stop_all()
        if self._attempts:
            await asyncio.wait(set(self._attempts), timeout=LAST_WRITES.total_seconds())

    def _stop_all(self) -> None:
        for attempt in self._attempts.values():
            attempt.stop.throw(StopReason.DRAIN)

    async def _announce(self) -> None:
        await self._tell([announcement(actor) for actor in self._actors.values()])

    async def _give_sign_of_life(self) -> None:
        if await self._tell([]):
            logger.warning("the database knew nothing of this worker; it is announced again")
            await self._announce()

    async def _tell(self, actors: list[AnnouncedActor]) -> bool:
        """Say that this worker lives and offers *actors*, and return whether the database knew nothing of it."""
        unknown = False
        me = AnnouncedWorker(
            id=self.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=list(self._options.queues),
            actors=sorted(self._actors),
            slots=self._options.slots,
            providers=list(self._options.providers),
        )
        # A sign of life that is still on its way must not arrive after the withdrawal, and revive this worker.
        async with self._telling:
            if not self._withdrawn:
                unknown = await self._registry.announce(me, actors)
        self._monitor.health.database_answered()
        return unknown

    async def _withdraw(self) -> None:
        self._withdrawn = True
        try:
            async with self._telling:
                await self._registry.withdraw(self.worker_id)
        except AppDbError as exc:
            logger.warning("this worker stays announced until its entry expires", extra={"error": str(exc)})


async def _again_and_again(loop: Callable[[], Awaitable[None]]) -> None:
    """Run *loop*, and begin it again whenever it fails: a fault of one must not lose what the worker holds."""
    while True:
        await survive(loop)
        await asyncio.sleep(random.uniform(*PAUSE_SECONDS))


class _QueuesChanged:
    """Hears that a queue was paused or resumed."""

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue

    def hint(self) -> None:
        self._queue.invalidate_snapshot()
