"""Parallel work on many documents, some at a time: one that fails holds up none of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from appdb._driver import PyMongoError
from appdb.errors import AppDbError

T = TypeVar("T")
R = TypeVar("R")

MAX_CONCURRENT = 8
"""Round trips under way: enough to hide a far database, and few beside the hundred connections that a client has."""


async def concurrently(work: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R | Exception]:
    """Return for each of *items*, in order, what *work* gave or the error of the database that it met."""
    room = asyncio.Semaphore(MAX_CONCURRENT)

    async def alone(item: T) -> R | Exception:
        async with room:
            try:
                return await work(item)
            except (PyMongoError, AppDbError) as exc:
                return exc

    return list(await asyncio.gather(*(alone(item) for item in items)))


async def in_batches(items: AsyncIterable[T], size: int) -> AsyncIterator[list[T]]:
    """Yield *items* in order, so many at a time."""
    batch: list[T] = []
    async for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
