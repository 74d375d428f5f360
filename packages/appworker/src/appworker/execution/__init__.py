"""Where actors run: on a shared event loop, in a thread, or in a process; leases are kept outside of all of them."""

from __future__ import annotations

from appworker.execution.executors import Executors
from appworker.execution.job import Job
from appworker.execution.outcome import Done, Failed, Outcome, Stopped, Suspended

__all__ = ["Done", "Executors", "Failed", "Job", "Outcome", "Stopped", "Suspended"]
