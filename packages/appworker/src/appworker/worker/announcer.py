"""The announcer: tells API hosts through the database which actors this worker offers, and that it lives."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from datetime import timedelta
from typing import Any

from appdb import AppDbError, RegistryRepository, TaskQueue
from appdb.models import AnnouncedActor, AnnouncedWorker
from appworker.actors.base import Actor
from appworker.actors.loading import ActorsByHandler
from appworker.health.health import WorkerHealth
from appworker.worker.options import WorkerOptions

logger = logging.getLogger(__name__)

SIGN_OF_LIFE_INTERVAL = timedelta(seconds=10)
ANNOUNCE_INTERVAL = timedelta(minutes=10)
"""How often actors are announced again: an entry that an operator deleted by hand is there again by then."""


class Announcer:
    """
    Announces one worker process and its actors.

    Args:
        worker_id: The process's id.

        registry: The announcements in the database.

        actors: The actors that are offered.

        options: The worker's queues, slots and providers.

        health: Hears that the database answered.
    """

    def __init__(
        self,
        worker_id: str,
        registry: RegistryRepository,
        actors: ActorsByHandler,
        options: WorkerOptions,
        health: WorkerHealth,
    ) -> None:
        self._worker_id = worker_id
        self._registry = registry
        self._actors = actors
        self._options = options
        self._health = health
        self._sending = asyncio.Lock()
        self._withdrawn = False

    async def announce(self) -> None:
        """Announce the worker with all its actors."""
        await self._send([announcement(actor) for actor in self._actors.values()])

    async def give_sign_of_life(self) -> None:
        """Say that the worker lives; announce it again if the database has lost it."""
        if await self._send([]):
            logger.warning("the database knew nothing of this worker; it is announced again")
            await self.announce()

    async def withdraw(self) -> None:
        """Take the announcement back, for good."""
        # Before the lock: a sign of life that waits for it must see this.
        self._withdrawn = True
        try:
            async with self._sending:
                await self._registry.withdraw(self._worker_id)
        except AppDbError as exc:
            logger.warning("this worker stays announced until its entry expires", extra={"error": str(exc)})

    async def warn_of_unknown_queues(self, queue: TaskQueue) -> None:
        """Log the queues that nothing else names: a queue whose name is misspelt stays empty."""
        unknown = set(self._options.queues) - {actor.queue for actor in self._actors.values()}
        if unknown:
            unknown -= {actor.queue for actor in await self._registry.actors()}
            unknown -= await queue.paused()
        for name in sorted(unknown):
            logger.warning("no actor and no pause names a queue of this worker; check its name", extra={"queue": name})

    async def _send(self, actors: list[AnnouncedActor]) -> bool:
        """Say that the worker lives and offers *actors*, and return whether the database did not know the worker."""
        unknown = False
        # A sign of life that is still on its way must not arrive after the withdrawal, and revive this worker.
        async with self._sending:
            if not self._withdrawn:
                unknown = await self._registry.announce(self._worker(), actors)
        self._health.database_answered()
        return unknown

    def _worker(self) -> AnnouncedWorker:
        return AnnouncedWorker(
            id=self._worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=list(self._options.queues),
            actors=sorted(self._actors),
            slots=self._options.slots,
            providers=list(self._options.providers),
        )


def announcement(actor: Actor[Any]) -> AnnouncedActor:
    """Return the announcement of *actor*, and log what of its payload API hosts will not check.

    Raises:
        InvalidDataError: No host could read the payload's schema; the message names the actor and the keyword.
    """
    announced = AnnouncedActor(
        name=actor.name,
        version=actor.version,
        queue=actor.queue,
        description=actor.description,
        payload_schema=actor.payload_schema(),
        max_attempts=actor.retry.max_attempts,
        timeout_seconds=actor.timeout.total_seconds(),
        limits=actor.limits,
    )
    if announced.left_to_worker:
        unchecked = {"actor": actor.name, "unchecked": list(announced.left_to_worker)}
        logger.warning(
            "API hosts do not check all of an actor's payload; tasks that do not fit it fail", extra=unchecked
        )
    return announced
