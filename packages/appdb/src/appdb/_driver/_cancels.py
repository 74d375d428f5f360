"""Cancels that asyncio lost are raised again.

Until Python 3.12, ``asyncio.wait_for`` forgets a cancel that comes at the moment when what it waits for is done, and
PyMongo's async client sends with it: a task that was told to stop would go on for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancels_are_heard() -> Iterator[None]:
    """Be cancelled at the end of the block if a cancel that came within it has not ended it.

    Raises:
        asyncio.CancelledError: The running task was cancelled in the block. What the block did may be done.
    """
    task = asyncio.current_task()
    # A task that cleans up was cancelled before, and is not to be disturbed by that.
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError
