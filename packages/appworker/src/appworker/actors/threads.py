"""Work in threads, for actors whose providers block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Run *work* in a thread; when the attempt is stopped meanwhile, wait until the thread has ended too."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        # The work notices the stop by itself; what it opened must be closed before the folder under it goes.
        await asyncio.gather(running, return_exceptions=True)
        raise
