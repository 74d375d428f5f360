"""The executors of a worker: one for each isolation of an actor."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel

from appworker.actors.base import Actor, Isolation
from appworker.execution.inprocess.shared import SharedExecutor
from appworker.execution.inprocess.thread import ThreadExecutor
from appworker.execution.job import Job
from appworker.execution.process.executor import KILLED_WITHIN, ProcessExecutor
from appworker.execution.results import ActorResult
from appworker.execution.stop import STOP_GRACE


class Executor(Protocol):
    """Runs jobs, each until it ends or its stop switch is thrown."""

    def start(self, job: Job) -> asyncio.Future[ActorResult]:
        """Start *job*, and return a future of the caller's loop that is done when nothing of it runs any more."""

    async def close(self) -> None:
        """Let go of threads and processes that nothing runs in; what runs is left alone."""


class Executors:
    """Gives each attempt to the executor that its actor's isolation names."""

    def __init__(self) -> None:
        self._shared = SharedExecutor()
        self._by_isolation: dict[Isolation, Executor] = {
            "task": self._shared,
            "thread": ThreadExecutor(),
            # All three are made at once: they hold no thread and no process until the first job.
            "process": ProcessExecutor(),
        }

    @property
    def blocked_seconds(self) -> float:
        """How long an actor has blocked the event loop that it shares with others; 0 when none does."""
        return self._shared.blocked_seconds

    def grace(self, actor: Actor[BaseModel]) -> timedelta:
        """Return how long to wait for the end of an attempt of *actor* that must end.

        A process has ended by then. A task or a thread that has not may never end.
        """
        return KILLED_WITHIN if actor.isolation == "process" else STOP_GRACE

    def start(self, job: Job) -> asyncio.Future[ActorResult]:
        """Start *job*, and return a future of the caller's loop that is done when nothing of it runs any more."""
        return self._by_isolation[job.actor.isolation].start(job)

    async def close(self) -> None:
        """Let go of threads and processes that nothing runs in; what runs is left alone."""
        for executor in self._by_isolation.values():
            await executor.close()
