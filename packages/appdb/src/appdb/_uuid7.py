"""UUIDs of version 7, in the order in which a process makes them, and never ahead of its clock; for ``appdb.utils``."""

from __future__ import annotations

import os
import secrets
import threading
import time

from uuid6 import UUID

RANDOM_BITS = 74
"""Of the 128: beside the milliseconds, version and variant."""


class Counter:
    """
    Counts within a millisecond, as RFC 9562 describes in section 6.2.

    A new millisecond begins with random bits below a zero, which leaves room to count; in the same one, and while the
    clock goes back, each id is one more than the one before. Safe in threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._milliseconds = self._low = 0

    def next(self) -> UUID:
        """Return an id that is greater than all that were made before."""
        now = time.time_ns() // 1_000_000
        with self._lock:
            if now > self._milliseconds:
                self._milliseconds, self._low = now, secrets.randbits(RANDOM_BITS - 1)
            else:
                self._low += 1
            return uuid7_of(self._milliseconds, self._low)


def uuid7_of(milliseconds: int, low: int) -> UUID:
    """Return the UUID of a moment, in *milliseconds* since 1970, with the 74 bits *low* around its variant."""
    return UUID(int=milliseconds << 80 | low >> 62 << 64 | low & (1 << 62) - 1, version=7)


COUNTER = Counter()
if hasattr(os, "register_at_fork"):
    # A child that went on from its parent's count would make its parent's ids.
    os.register_at_fork(after_in_child=COUNTER.__init__)  # type: ignore[misc]
