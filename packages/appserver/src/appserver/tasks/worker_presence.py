"""Worker presence: the workers that give signs of life, and since when a task has none that can do it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from appdb import RegistryRepository, Task
from appdb.models import RegisteredActor, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class UnattendedTask:
    """A task that no worker can do now.

    Args:
        since: The last sign of life of such a worker, or ``None`` when it is not known any more.
    """

    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPresence:
    """The workers that gave a sign of life within the last 30 s, and the actors with the last sign of life of each."""

    workers: Sequence[Worker]
    actors: Mapping[str, RegisteredActor]

    def unattended(self, actor: str, version: int, queue: str) -> UnattendedTask | None:
        """Return since when no worker can do such tasks, or ``None`` while one can."""
        # A worker of another version of the actor cannot do the task.
        handler = f"{actor}@{version}"
        if any(handler in worker.actors and queue in worker.queues for worker in self.workers):
            return None
        known = self.actors.get(actor)
        return UnattendedTask(since=known.seen_at if known else None)

    def unattended_for(self, task: Task) -> UnattendedTask | None:
        """Return since when no worker can do *task*, or ``None`` while one can, and once the task has ended."""
        return None if task.state.final else self.unattended(task.actor, task.actor_version, task.queue)

    @property
    def seen_at(self) -> datetime | None:
        """When any worker last gave a sign of life, or ``None`` when none has within a week."""
        signs = [*(worker.seen_at for worker in self.workers), *(actor.seen_at for actor in self.actors.values())]
        return max(signs, default=None)


async def worker_presence(registry: RegistryRepository) -> WorkerPresence:
    """Return the presence of workers now: two queries at once."""
    workers, actors = await asyncio.gather(registry.workers(), registry.actors())
    return WorkerPresence(workers=workers, actors={actor.id: actor for actor in actors})
