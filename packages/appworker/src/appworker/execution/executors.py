"""The executors of a worker, one for each isolation."""

from __future__ import annotations

import asyncio
from typing import Protocol

from appworker.execution.job import Job
from appworker.execution.outcome import Outcome
from appworker.execution.thread import ThreadExecutor


class Executor(Protocol):
    """Runs attempts. An attempt is stopped by its job's switch."""

    def start(self, job: Job) -> asyncio.Future[Outcome]:
        """Start *job*, and return a future of the caller's loop that is done when nothing of it runs any more."""

    async def close(self) -> None:
        """Let go of threads and processes that nothing runs in; what runs is left alone."""


class Executors:
    """All executors of a worker: an attempt goes to the one that its actor's isolation names."""

    def __init__(self) -> None:
        thread = ThreadExecutor()
        self._by_isolation: dict[str, Executor] = {"task": thread, "thread": thread, "process": thread}

    def start(self, job: Job) -> asyncio.Future[Outcome]:
        """Start *job*, and return a future of the caller's loop that is done when nothing of it runs any more."""
        return self._by_isolation[job.actor.isolation].start(job)

    async def close(self) -> None:
        """Let go of threads and processes that nothing runs in; what runs is left alone."""
        for executor in self._by_isolation.values():
            await executor.close()
