"""Worker processes on a replica set, wherever they stand and whatever clock they have."""

from __future__ import annotations

from typing import Protocol

from appdemo.host import Host


class StartWorker(Protocol):
    """Starts a worker process on the set, and returns when it is ready."""

    def __call__(self, *prefix: str, actors: str = ..., **environment: str) -> Host:
        """Start it behind *prefix*, a command that runs a command."""
