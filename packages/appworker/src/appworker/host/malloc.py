"""The memory allocator of the C library, told to share memory between threads."""

from __future__ import annotations

import ctypes
import os
import sys

M_ARENA_MAX = -8
ARENAS = 1
"""Threads take turns at Python's lock anyway, so they hardly ever wait for an arena."""


def share_one_arena() -> bool:
    """Have all threads allocate from one arena; call it before any other thread allocates.

    glibc gives each thread an arena of its own, and what is freed in one is seldom of use to another, so a worker whose
    threads pass documents on grows by megabytes that nobody uses (``mallopt(3)``). ``MALLOC_ARENA_MAX`` in the
    environment goes before.

    Returns:
        Whether it was set; on other C libraries there is nothing to set.
    """
    if not sys.platform.startswith("linux") or "MALLOC_ARENA_MAX" in os.environ:
        return False
    # musl has no mallopt, and no arenas either.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_ARENA_MAX, ARENAS))
