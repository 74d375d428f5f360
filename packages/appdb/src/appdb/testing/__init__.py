"""What tests of code that uses appdb need: a queue in memory whose time the test decides."""

from __future__ import annotations

from appdb.testing.clock import ManualClock
from appdb.testing.memory import InMemoryTaskQueue

__all__ = ["InMemoryTaskQueue", "ManualClock"]
