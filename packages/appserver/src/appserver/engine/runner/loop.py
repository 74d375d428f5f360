"""The engine's loop: an API host claims the engine's own tasks, and looks after the queue as every host does."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from datetime import timedelta

from appdb import AppDbError, ChangeFeed, Claimer, Lease, LeaseLostError, NotFoundError, Task, TaskQueue, uuid7_str
from appdb.feed import QUEUES, TASKS_READY, Subscription
from appdb.host import HostMaintenance, every, survive
from appserver.engine.core.causes import Fired, Look
from appserver.engine.core.engine_tasks import ADVANCE, QUEUE, TIMER
from appserver.engine.runner.advancing import Advancer
from appserver.engine.runner.handlers import handlers_of, module_type
from appserver.engine.runner.looks import Looks
from appserver.errors import AppServerError
from appserver.modules.registry import ModuleRegistry

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=10)
"""Pause between claims of an idle host while hints flow: a lost hint costs at most this."""
BLIND_POLL = timedelta(seconds=1)
LIMITED_POLL = timedelta(seconds=0.25)
"""Pause after a claim that left due tasks where they are, to quicker hosts or for a limit: no hint tells of them again.
"""
TASK_SECONDS = 20
"""How long one task of the engine may take: below the lease, so that no lease is to be renewed."""
DRAIN_SECONDS = 5
"""How long tasks may go on once nothing more is claimed."""
RETRY_SECONDS = 2
ERROR_PAUSE_SECONDS = (0.5, 1.5)


class EngineLoop:
    """
    Runs the engine's tasks on this host: advances, timers, and modules that requests may not run.

    Nothing depends on a lease here: what two hosts do at once is done once, since each decision is written only where
    the run is as it was read.

    Args:
        advancer: Advances runs.
        looks: Looks at runs.
        queue: The queue to claim from; of the loop's own, since it keeps a picture of who waits.
        feed: Hints that tasks are ready.
        registry: The module types of this host.
        slots: How many tasks run at a time.
    """

    def __init__(
        self,
        advancer: Advancer,
        looks: Looks,
        queue: TaskQueue,
        feed: ChangeFeed,
        registry: ModuleRegistry,
        slots: int,
    ) -> None:
        self._advancer = advancer
        self._looks = looks
        self._queue = queue
        self._feed = feed
        self._slots = slots
        self._claimer = Claimer(worker_id=uuid7_str("eng_"), queues=(QUEUE,), handlers=handlers_of(registry))
        self._running: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether it claims nothing more."""
        return self._stopped

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopped = True
        self._changed.set()

    async def run(self) -> None:
        """Claim and run tasks until ``stop`` is called, then wait for those that run."""
        with self._feed.subscribe(TASKS_READY) as ready:
            while not self._stopped:
                self._changed.clear()
                if not await self._claim() and not self._stopped:
                    await self._wait(ready)
        await self._drain()

    def hint(self) -> None:
        """Hear that a queue was paused or resumed."""
        self._queue.invalidate_snapshot()

    async def _drain(self) -> None:
        if self._running:
            _, left = await asyncio.wait(self._running, timeout=DRAIN_SECONDS)
            for running in left:
                # Its lease ends, and another host does it again.
                running.cancel()

    async def _claim(self) -> int:
        room = self._slots - len(self._running)
        if room <= 0:
            return 0
        try:
            tasks = await self._queue.claim(self._claimer, limit=room)
        except AppDbError as exc:
            logger.warning("no tasks of the engine could be claimed; trying again", extra={"error": str(exc)})
            await asyncio.sleep(random.uniform(*ERROR_PAUSE_SECONDS))
            return 0
        for task in tasks:
            running = asyncio.create_task(self._run(task))
            self._running.add(running)
            running.add_done_callback(self._ended)
        return len(tasks)

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        self._changed.set()

    async def _wait(self, ready: Subscription) -> None:
        """Wait for a task, or where there is no room for one, for room."""
        if len(self._running) >= self._slots:
            await self._changed.wait()
            return
        poll = POLL if self._feed.live else BLIND_POLL
        if self._queue.limit_reached:
            poll = LIMITED_POLL
        waits = [
            asyncio.create_task(ready.wait(poll * random.uniform(0.8, 1))),
            asyncio.create_task(self._changed.wait()),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _run(self, task: Task) -> None:
        lease = Lease.of(task)
        try:
            async with asyncio.timeout(TASK_SECONDS):
                await self._do(task)
            await self._queue.complete(lease)
        except LeaseLostError:
            logger.info("a task of the engine was cancelled, or done by another host", extra={"task_id": task.id})
        except NotFoundError:
            # The run was deleted, and nobody waits for this any more.
            await self._settle(lease, "Discarded", "the run is gone", retry=False)
        except (AppDbError, TimeoutError) as exc:
            await self._settle(lease, type(exc).__name__, str(exc) or "it took too long", retry=True)
        except AppServerError as exc:
            # A cause that is not a person's is never refused; what is, fails again and again.
            await self._settle(lease, type(exc).__name__, str(exc), retry=True)
        except Exception as exc:
            logger.exception("a task of the engine failed by our own fault", extra={"task_id": task.id})
            await self._settle(lease, type(exc).__name__, str(exc), retry=True)

    async def _do(self, task: Task) -> None:
        run_id = str(task.payload["run_id"])
        if task.actor == TIMER:
            await self._advancer.advance(run_id, task.owner_id, Fired(timer_id=str(task.payload["timer_id"])))
        elif task.actor == ADVANCE:
            await self._looks.look(run_id, task.owner_id, task.id)
        else:
            allowed = frozenset({module_type(task.actor, task.actor_version)})
            await self._advancer.advance(run_id, task.owner_id, Look(), allow=allowed)

    async def _settle(self, lease: Lease, kind: str, message: str, *, retry: bool) -> None:
        retry_in = timedelta(seconds=RETRY_SECONDS * lease.attempt) if retry else None
        with suppress(LeaseLostError):
            try:
                await self._queue.fail(lease, kind, message, retry_in=retry_in)
            except AppDbError as exc:
                # Its lease ends, and it runs again.
                logger.warning("a task of the engine could not be settled", extra={"error": str(exc)})


class EngineHost:
    """
    The engine's part of an API host: the loop, and the maintenance of the queue.

    Args:
        loop: The loop.
        maintenance: Promotes, recovers, expires and sweeps.
        feed: Tells of paused queues.
    """

    def __init__(self, loop: EngineLoop, maintenance: HostMaintenance, feed: ChangeFeed) -> None:
        self._loop = loop
        self._maintenance = maintenance
        self._feed = feed

    async def run(self) -> None:
        """Work until cancelled; then finish what runs."""
        self._feed.add(QUEUES, self._loop)
        claiming = asyncio.create_task(self._restarted_loop())
        maintaining = asyncio.create_task(every(timedelta(seconds=1), self._maintenance.run))
        try:
            await asyncio.wait([claiming, maintaining])
        finally:
            self._feed.remove(QUEUES, self._loop)
            maintaining.cancel()
            self._loop.stop()
            await asyncio.gather(claiming, maintaining, return_exceptions=True)

    async def _restarted_loop(self) -> None:
        while not self._loop.stopped:
            await survive(self._loop.run)
            if not self._loop.stopped:
                await asyncio.sleep(random.uniform(*ERROR_PAUSE_SECONDS))
