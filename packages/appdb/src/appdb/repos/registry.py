"""RegistryRepository: workers and actors, announced by workers and read by API hosts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from appdb._driver import retried
from appdb._queries import actors as actor_queries
from appdb._queries import workers as worker_queries
from appdb._queries.paging import BY_ID
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.errors import NotFoundError
from appdb.models.actors import AnnouncedActor, RegisteredActor
from appdb.models.bounds import accept
from appdb.models.workers import AnnouncedWorker, Worker
from appdb.reading import readable
from appdb.size_limits import KIB, check_size

MAX_ANNOUNCED_BYTES = 1024 * KIB
"""Limit for one actor with its schema, and for one worker."""
WORKER_ALIVE = timedelta(seconds=30)
"""A worker that was silent for longer is not alive."""


class RegistryRepository(BaseRepository):
    """Workers and actors. An actor outlives its workers by a week, so that tasks are accepted while none is up."""

    @retried
    async def announce(self, worker: AnnouncedWorker, actors: Sequence[AnnouncedActor]) -> bool:
        """Say that *worker* lives and what its *actors* accept; repeated while it lives, one round trip each.

        The actors come first, so whoever sees the worker finds all that it offers.

        Returns:
            Whether nothing was known of the worker: it is new, or the database was dropped or restored since.

        Raises:
            InvalidDataError: A name, a number or a schema cannot be stored; nothing was written.
            TooLargeError: What is said of one of them is over 1 MiB as BSON; nothing was written.
        """
        for actor in actors:
            accept(AnnouncedActor, actor)
            check_size(f"actor {actor.name}", actor.fields(), MAX_ANNOUNCED_BYTES)
        accept(AnnouncedWorker, worker)
        check_size("worker", worker.fields(), MAX_ANNOUNCED_BYTES)
        # The actors come first, so whoever sees the worker finds all that it offers.
        for actor in actors:
            await self._connection.collection(collections.ACTORS).update_one(
                actor_queries.named(actor.name), actor_queries.announce(actor.fields()), upsert=True
            )
        told = await self._connection.collection(collections.WORKERS).update_one(
            worker_queries.by_id(worker.id), worker_queries.announce(worker.fields()), upsert=True
        )
        return told.upserted_id is not None

    @retried
    async def withdraw(self, worker_id: str) -> None:
        """Forget a worker that has stopped."""
        await self._connection.collection(collections.WORKERS).delete_one(worker_queries.by_id(worker_id))

    @retried
    async def actor(self, name: str) -> RegisteredActor:
        """Return what is known of the actor *name*.

        Raises:
            NotFoundError: No worker has announced it within the last week.
        """
        found = await self._connection.collection(collections.ACTORS).find_one(actor_queries.named(name))
        if found is None:
            raise NotFoundError("actor", name)
        return RegisteredActor.from_document(found)

    @retried
    async def actors(self) -> list[RegisteredActor]:
        """Return every known actor, by name."""
        found = self._connection.collection(collections.ACTORS).find().sort(BY_ID)
        return readable(RegisteredActor.from_document, await found.to_list(None))

    @retried
    async def workers(self) -> list[Worker]:
        """Return the workers that gave a sign of life within the last 30 s by the database's clock."""
        alive = worker_queries.alive(WORKER_ALIVE)
        found = self._connection.collection(collections.WORKERS).find(alive).sort(BY_ID)
        return readable(Worker.from_document, await found.to_list(None))
