"""Exit codes by which an actor's process tells the worker why it ended."""

from __future__ import annotations

OUT_OF_MEMORY = 71
"""The process could not get more memory."""
WORKER_GONE = 72
"""The worker died during an attempt."""
PIPE_BROKEN = 73
"""The process could not read what the worker sent."""
