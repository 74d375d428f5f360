"""Leases: the right of a worker to write to the task that it has claimed, and what a claimer says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from appdb.models.bounds import STRICT, AnyText, Count, Name
from appdb.models.tasks import Task

DEFAULT_LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write to one task during one attempt; every write of the attempt repeats the token."""

    __pydantic_config__ = STRICT
    task_id: AnyText
    token: AnyText
    attempt: Count
    max_attempts: Count
    worker_id: AnyText
    limit_keys: tuple[str, ...] = field(default=(), compare=False)
    """What the task is limited by: its holder asks for the next one under these keys as soon as the attempt ends."""

    has_dependents: bool = field(default=False, compare=False)
    """Whether the end of the task concerned other documents already when it was claimed."""

    @property
    def is_last_attempt(self) -> bool:
        """Whether the task fails for good when this attempt ends with an error."""
        return self.attempt >= self.max_attempts

    @classmethod
    def of(cls, task: Task) -> Lease:
        """Return the lease under which *task* was just claimed.

        Raises:
            ValueError: Nobody holds the task.
        """
        if task.lease is None:
            raise ValueError(f"task {task.id} is {task.state}: nobody holds it")
        return cls(
            task_id=task.id,
            token=task.lease.token,
            attempt=task.attempt,
            max_attempts=task.max_attempts,
            worker_id=task.lease.worker_id,
            limit_keys=tuple(limit.key for limit in task.limits),
            has_dependents=task.has_dependents,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimer:
    """A worker that claims, with the queues and handlers that it serves.

    Args:
        worker_id: Unique among live workers.
        queues: The queues to claim from.
        handlers: What the worker declares, as ``name@version`` of its actors; it gets no other task.
    """

    __pydantic_config__ = STRICT
    worker_id: Name
    queues: tuple[Name, ...]
    handlers: tuple[str, ...]


def handler(actor: str, version: int) -> str:
    """Return the key that a task and a claimer agree on: an actor and the version of its payload."""
    return f"{actor}@{version}"
