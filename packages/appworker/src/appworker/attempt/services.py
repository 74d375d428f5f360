"""The services that all attempts of a worker share."""

from __future__ import annotations

from dataclasses import dataclass

from appdb import ContentRepository, RegistryRepository, TaskQueue
from appworker.attempt.commit_batcher import CommitBatcher
from appworker.attempt.flusher import Flusher


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptServices:
    """The database's doors for attempts, and what combines their writes."""

    queue: TaskQueue
    contents: ContentRepository
    registry: RegistryRepository
    commit_batcher: CommitBatcher
    flusher: Flusher
