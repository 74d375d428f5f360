"""The services that all attempts of a worker share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from appdb import ContentRepository, Database, FileRepository, RegistryRepository, TaskQueue, TokenRepository
from appworker.attempt.commit_batcher import CommitBatcher
from appworker.attempt.flusher import Flusher


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptServices:
    """The database's doors for attempts, and what combines their writes."""

    queue: TaskQueue
    contents: ContentRepository
    files: FileRepository
    tokens: TokenRepository
    registry: RegistryRepository
    commit_batcher: CommitBatcher
    flusher: Flusher

    @classmethod
    def of(cls, database: Database, queue: TaskQueue) -> Self:
        """Return the services of a worker over *database*, which claims from *queue*."""
        return cls(
            queue=queue,
            contents=ContentRepository(database),
            files=FileRepository(database),
            tokens=TokenRepository(database),
            registry=RegistryRepository(database),
            commit_batcher=CommitBatcher(queue),
            flusher=Flusher(),
        )
