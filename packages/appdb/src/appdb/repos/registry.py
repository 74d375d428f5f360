"""RegistryRepository: workers and actors, announced by workers and read by API hosts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from appdb._driver import retried
from appdb._queries.clock import NOW, from_now
from appdb._queries.expressions import literal
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.errors import NotFoundError
from appdb.models.actors import Actor, AnnouncedActor
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
            described = {name: literal(value) for name, value in actor.fields().items()}
            await self._collection(collections.ACTORS).update_one(
                {"_id": actor.name}, [{"$set": described | {"seen_at": NOW}}], upsert=True
            )
        fields = {name: literal(value) for name, value in worker.fields().items()}
        started = {"started_at": {"$ifNull": ["$started_at", NOW]}, "seen_at": NOW}
        told = await self._collection(collections.WORKERS).update_one(
            {"_id": worker.id}, [{"$set": fields | started}], upsert=True
        )
        return told.upserted_id is not None

    @retried
    async def withdraw(self, worker_id: str) -> None:
        """Forget a worker that has stopped."""
        await self._collection(collections.WORKERS).delete_one({"_id": worker_id})

    @retried
    async def actor(self, name: str) -> Actor:
        """Return what is known of the actor *name*.

        Raises:
            NotFoundError: No worker has announced it within the last week.
        """
        found = await self._collection(collections.ACTORS).find_one({"_id": name})
        if found is None:
            raise NotFoundError("actor", name)
        return Actor.from_document(found)

    @retried
    async def actors(self) -> list[Actor]:
        """Return every known actor, by name."""
        found = self._collection(collections.ACTORS).find().sort("_id", 1)
        return readable(Actor.from_document, await found.to_list(None))

    @retried
    async def workers(self) -> list[Worker]:
        """Return the workers that gave a sign of life within the last 30 s by the database's clock."""
        alive = {"$expr": {"$gte": ["$seen_at", from_now(-WORKER_ALIVE)]}}
        found = self._collection(collections.WORKERS).find(alive).sort("_id", 1)
        return readable(Worker.from_document, await found.to_list(None))
