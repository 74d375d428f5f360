"""The in-memory task queue, for tests of code that uses appdb; the test decides its time."""

from __future__ import annotations

from appdb.testing.clock import ManualClock
from appdb.testing.memory import InMemoryTaskQueue

__all__ = ["InMemoryTaskQueue", "ManualClock"]
