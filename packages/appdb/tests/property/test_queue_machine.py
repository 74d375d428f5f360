"""A state machine drives the queue against a small model of it: whatever is called in whatever order, they agree."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import wraps
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from appdb import (
    Claimer,
    ConflictError,
    Database,
    Lease,
    LeaseLostError,
    NewEvent,
    NewTask,
    Task,
    TaskEventType,
    TaskFilter,
    TaskQueue,
    TaskState,
)
from appdb.queue.protocol import TaskQueueProtocol
from appdb.testing import InMemoryTaskQueue
from time_machine import let_time_pass

T = TypeVar("T")

OWNER = "usr_a"
QUEUES = ("a", "b")
EVERYBODYS = TaskFilter(owner_id=None)
TICK = 100
"""Seconds. Every time that is given ends half a tick off, so that it matters to no one how slow the machine is."""
LEASE = TICK + TICK // 2
DELAYS = st.sampled_from([0, 0, TICK // 2, TICK + TICK // 2])
PICK = st.integers(0, 50)

S = TaskState
LAWFUL = {
    S.SCHEDULED: {S.QUEUED, S.FAILED, S.CANCELLED},
    S.QUEUED: {S.PROCESSING, S.FAILED, S.CANCELLED},
    S.PROCESSING: {S.SCHEDULED, S.QUEUED, S.COMPLETED, S.FAILED, S.CANCELLED},
    S.COMPLETED: set(),
    S.FAILED: set(),
    S.CANCELLED: set(),
}


@dataclass
class Expected:
    """What the model knows of one task; times are seconds of the model's clock."""

    queue: str
    priority: int
    max_attempts: int
    run_at: float
    expires_at: float | None
    state: TaskState
    attempt: int = 0
    lease: Lease | None = None
    lease_until: float = 0
    log: list[TaskEventType] = field(default_factory=list)

    def end(self, state: TaskState) -> None:
        self.state, self.lease = state, None
        self.log.append(TaskEventType(state.value))

    def again(self, event: TaskEventType, run_at: float, now: float) -> None:
        self.state = S.SCHEDULED if run_at > now else S.QUEUED
        self.run_at, self.lease = run_at, None
        self.log.append(event)


class Model:
    """All tasks as they should be."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tasks: dict[str, Expected] = {}
        self.keys: dict[str, str] = {}
        self.replays: dict[tuple[str, str], str] = {}
        self.paused: set[str] = set()
        self.leases: list[Lease] = []
        self.settled: dict[str, TaskEventType] = {}

    def given(self, limit: int) -> list[str]:
        due = [
            (-task.priority, task.run_at, task_id)
            for task_id, task in self.tasks.items()
            if task.state is S.QUEUED and task.queue not in self.paused and not self.expired(task)
        ]
        return [task_id for _, _, task_id in sorted(due)[:limit]]

    def expired(self, task: Expected) -> bool:
        waits = task.state in (S.SCHEDULED, S.QUEUED) and not task.log and not task.attempt
        return waits and task.expires_at is not None and task.expires_at <= self.now

    def held(self) -> list[Lease]:
        return [task.lease for task in self.tasks.values() if task.lease is not None]

    def stale(self) -> list[Lease]:
        return [lease for lease in self.leases if lease not in self.held()]

    def in_state(self, *states: TaskState) -> list[str]:
        return [task_id for task_id, task in self.tasks.items() if task.state in states]


def step(**given: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a rule whose firings are counted."""

    def decorate(method: Callable[..., None]) -> Any:
        QueueMachine.rules.add(method.__name__)

        @wraps(method)
        def counted(self: QueueMachine, **values: Any) -> None:
            self.fired[method.__name__] += 1
            self.let_a_moment_pass()
            method(self, **values)

        return rule(**given)(counted)

    return decorate
