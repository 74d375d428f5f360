"""Whether anybody works on tasks, by the workers' signs of life."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from appdb import RegistryRepository
from appdb.models.actors import Actor
from appdb.models.workers import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """No worker that gives signs of life can do the work.

    Args:
        since: When the last one gave its last sign of life, or ``None`` when that is not known any more.
    """

    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """Who gave a sign of life within the last 30 s, and when the others last did."""

    workers: Sequence[Worker]
    actors: Mapping[str, Actor]

    def absence(self, actor: str, version: int, queue: str) -> Absence | None:
        """Return since when nobody does such tasks, or ``None`` while somebody does."""
        handler = f"{actor}@{version}"
        if any(handler in worker.actors and queue in worker.queues for worker in self.workers):
            return None
        known = self.actors.get(actor)
        return Absence(since=known.seen_at if known else None)

    @property
    def seen_at(self) -> datetime | None:
        """When any worker last gave a sign of life, or ``None`` when none has within a week."""
        signs = [*(worker.seen_at for worker in self.workers), *(actor.seen_at for actor in self.actors.values())]
        return max(signs, default=None)


async def attendance(registry: RegistryRepository) -> Attendance:
    """Return who is there now: two queries at once."""
    workers, actors = await asyncio.gather(registry.workers(), registry.actors())
    return Attendance(workers=workers, actors={actor.id: actor for actor in actors})
