"""The commit batcher: commits the writes of many attempts together."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from appdb import AttemptWrite, DatabaseUnavailableError, Lease, LeaseLostError, TaskQueueProtocol
from appdb.host import GroupCommit

logger = logging.getLogger(__name__)

EVENTS_PER_WRITE = 10
"""A write of more events takes more room in a batch: 100 small writes go together, or 1,000 events."""


class CommitBatcher:
    """
    Commits the writes of a moment in one round trip, and answers each for itself.

    Args:
        queue: The queue that the leases are of.
    """

    def __init__(self, queue: TaskQueueProtocol) -> None:
        self._queue = queue
        # No limit to the wait: the lease bounds it, and the lease renewer watches that.
        self._commits: GroupCommit[AttemptWrite, None] = GroupCommit(self._commit, longest_wait=None, weight=_weight)

    async def write(self, write: AttemptWrite) -> None:
        """Commit *write*, perhaps together with others, and return when it is committed.

        Raises:
            LeaseLostError: The lease is lost; nothing of the write is there.
            DatabaseUnavailableError: The outcome is unknown; the same write again settles it.
        """
        await self._commits.add(write)

    async def _commit(self, writes: Sequence[AttemptWrite]) -> list[Exception | None]:
        try:
            lost = await self._queue.commit(writes)
        except DatabaseUnavailableError:
            raise
        except Exception as exc:
            if len(writes) == 1:
                raise
            # One write may be the one that is refused: the others must not fail with it.
            logger.warning("a batch was refused; its writes are tried one by one", extra={"error": str(exc)})
            return [await self._commit_alone(write) for write in writes]
        return [_answer(write.lease, lost) for write in writes]

    async def _commit_alone(self, write: AttemptWrite) -> Exception | None:
        try:
            return _answer(write.lease, await self._queue.commit([write]))
        except Exception as exc:  # noqa: BLE001 - it is raised where the write came from
            return exc


def _answer(lease: Lease, lost: set[Lease]) -> LeaseLostError | None:
    return LeaseLostError(lease.task_id, lease.attempt) if lease in lost else None


def _weight(write: AttemptWrite) -> float:
    return max(len(write.events) / EVENTS_PER_WRITE, 1)
