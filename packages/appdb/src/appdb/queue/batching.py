"""Group commit: what many callers want to write at the same time becomes one round trip."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_WEIGHT = 100
"""Of the items of one batch together, so that none waits long for others."""
MOST_UNDER_WAY = 2
"""Two batches, so that one round trip's wait is another's work, and one that hangs does not stop all."""


class GroupCommit(Generic[T, R]):
    """
    Writes single items in batches that form by themselves, without a timer.

    An item that comes when few are under way is written at once, so a lone caller waits for nobody. Those that come
    meanwhile are gathered, and go together as soon as there is room.

    Args:
        write: Writes a batch, and returns for each item, in order, what it gave or the error that it met. What it
            raises is every item's error.

        longest_wait: How long an item that others keep waiting may take in all; ``None`` for no limit. One that is
            written at once takes as long as *write*.

        weight: The share of a batch that an item takes; a batch has room for 100, and for one item of any weight.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        longest_wait: timedelta | None,
        weight: Callable[[T], float] = lambda _: 1,
    ) -> None:
        self._write = write
        self._weight = weight
        self._longest_wait = None if longest_wait is None else longest_wait.total_seconds()
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._under_way = 0
        self._batches: set[asyncio.Task[None]] = set()

    async def add(self, item: T) -> R:
        """Write *item*, perhaps together with others, and return what it gave. Cancelling leaves the outcome unknown.

        Raises:
            TimeoutError: Others kept it waiting for too long; its outcome is unknown.
            Exception: Whatever writing this item, or its batch, raised.
        """
        if self._under_way >= MOST_UNDER_WAY:
            written: asyncio.Future[R] = asyncio.get_running_loop().create_future()
            self._waiting.append((item, written))
            async with asyncio.timeout(self._longest_wait):
                return await written
        self._under_way += 1
        try:
            [outcome] = await self._write([item])
        finally:
            self._ended()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _ended(self) -> None:
        self._under_way -= 1
        # Nobody waits any more for what is done already.
        self._waiting = [one for one in self._waiting if not one[1].done()]
        if not self._waiting:
            return
        count = self._batch_size()
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._under_way += 1
        # In a context of its own: the deadline of whoever made room is not that of the others.
        task = asyncio.get_running_loop().create_task(self._commit(batch), context=contextvars.Context())
        self._batches.add(task)
        task.add_done_callback(self._batches.discard)

    def _batch_size(self) -> int:
        weight = 0.0
        for count, (item, _) in enumerate(self._waiting):
            weight += self._weight(item)
            if count and weight > MOST_WEIGHT:
                return count
        return len(self._waiting)

    async def _commit(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            outcomes = await self._write([item for item, _ in batch])
        except Exception as exc:  # noqa: BLE001 - it is raised where each item came from
            outcomes = [exc] * len(batch)
        finally:
            self._ended()
        for (_, written), outcome in zip(batch, outcomes, strict=True):
            _resolve(written, outcome)


def _resolve(written: asyncio.Future[R], outcome: R | Exception) -> None:
    if written.done():
        # The caller that waited was cancelled.
        return
    if isinstance(outcome, Exception):
        written.set_exception(outcome)
    else:
        written.set_result(outcome)
