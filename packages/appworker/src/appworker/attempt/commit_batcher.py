"""The writes of all running attempts, combined: while one commit is under way, the next one gathers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from appdb import AttemptWrite, DatabaseUnavailableError, LeaseLostError, TaskQueueProtocol

logger = logging.getLogger(__name__)

MAX_WRITES = 100
MAX_EVENTS = 1_000
"""What one commit may hold, so that nobody waits long for others."""

Waiting = tuple[AttemptWrite, "asyncio.Future[None]"]


class CommitBatcher:
    """
    Commits what attempts hand in, in batches that form by themselves: group commit, without a timer.

    Args:
        queue: Where it is committed to.
    """

    def __init__(self, queue: TaskQueueProtocol) -> None:
        self._queue = queue
        self._waiting: list[Waiting] = []
        self._handed_in = asyncio.Event()

    async def write(self, write: AttemptWrite) -> None:
        """Commit *write* together with what others hand in, and return when it is committed.

        Raises:
            LeaseLostError: The lease is lost; nothing of the write is there.
            DatabaseUnavailableError: The outcome is unknown; the same write again settles it.
        """
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, committed))
        self._handed_in.set()
        await committed

    async def run(self) -> None:
        """Commit what is handed in, until cancelled."""
        while True:
            await self._handed_in.wait()
            batch = self._take()
            if not self._waiting:
                self._handed_in.clear()
            await self._commit(batch)

    def _take(self) -> list[Waiting]:
        events = 0
        for count, (write, _) in enumerate(self._waiting):
            events += len(write.events)
            if count == MAX_WRITES or (count and events > MAX_EVENTS):
                batch, self._waiting = self._waiting[:count], self._waiting[count:]
                return batch
        batch, self._waiting = self._waiting, []
        return batch

    async def _commit(self, batch: Sequence[Waiting]) -> None:
        try:
            lost = await self._queue.commit([write for write, _ in batch])
        except Exception as exc:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            await self._after_error(batch, exc)
            return
        for write, committed in batch:
            lease = write.lease
            _resolve(committed, LeaseLostError(lease.task_id, lease.attempt) if lease in lost else None)

    async def _after_error(self, batch: Sequence[Waiting], error: Exception) -> None:
        if len(batch) == 1 or isinstance(error, DatabaseUnavailableError):
            for _, committed in batch:
                _resolve(committed, error)
            return
        # One write may be what the database refuses: the others must not fail with it.
        logger.warning("a batch was refused; its writes are tried one by one", extra={"error": str(error)})
        for one in batch:
            await self._commit([one])


def _resolve(committed: asyncio.Future[None], error: Exception | None) -> None:
    if committed.done():
        return  # whoever waited was cancelled
    if error is None:
        committed.set_result(None)
    else:
        committed.set_exception(error)
