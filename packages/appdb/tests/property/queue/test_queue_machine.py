"""A state machine drives the queue against a small model of it: whatever is called in whatever order, they agree."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import wraps
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from appdb import (
    Claimer,
    ConflictError,
    Lease,
    LeaseLostError,
    NewEvent,
    NewTask,
    Task,
    TaskEventType,
    TaskQueueProtocol,
    TaskState,
)
from appdb.models import TaskFilter
from appsupport.mongo.shared_database import migrated_database
from appsupport.queue.queue_worlds import LEASE as LEASE_TIME
from appsupport.queue.queue_worlds import MOMENT, MemoryWorld, MongoWorld, World, opened

S = TaskState
E = TaskEventType

OWNER = "usr_a"
CLAIMER = Claimer(worker_id="w1", queues=("a", "b"), handlers=("echo@1",))
EVERYBODYS = TaskFilter(owner_id=None)
EVENTS = [NewEvent(type=E.CHUNK, data={"chunks": ["a"]}), NewEvent(type=E.PROGRESS, data={"fraction": 0.5})]

TICK = 100
"""Seconds. Whatever is given a time gets half a tick more, so that it matters to nobody how slow the machine is."""
LEASE = LEASE_TIME.total_seconds()
EXPIRES_IN = 2 * TICK + TICK // 2

DELAYS = st.sampled_from([0, 0, TICK // 2, TICK + TICK // 2])
NAMES = st.sampled_from(CLAIMER.queues)
PICK = st.integers(0, 50)

FINAL = (S.COMPLETED, S.FAILED, S.CANCELLED)
LAWFUL: dict[TaskState, set[TaskState]] = {
    S.SCHEDULED: {S.QUEUED, S.FAILED, S.CANCELLED},
    S.QUEUED: {S.PROCESSING, S.FAILED, S.CANCELLED},
    S.PROCESSING: {S.SCHEDULED, S.QUEUED, S.COMPLETED, S.FAILED, S.CANCELLED},
    S.COMPLETED: set(),
    S.FAILED: set(),
    S.CANCELLED: set(),
}
# Times move with the clock, errors hold times, and a key that a new task has taken is the old one's no more.
MAY_DIFFER = {"created_at", "updated_at", "run_at", "started_at", "finished_at", "error", "errors", "unique_key"}
ZOMBIE_WRITES: dict[TaskEventType, Callable[[TaskQueueProtocol, Lease], Coroutine[Any, Any, None]]] = {
    E.CHUNK: lambda queue, lease: queue.append_events(lease, EVENTS[:1], seq=0),
    E.COMPLETED: lambda queue, lease: queue.complete(lease, {"by": "zombie"}),
    E.FAILED: lambda queue, lease: queue.fail(lease, "Late", "late", retry_in=None),
    E.RETRYING: lambda queue, lease: queue.fail(lease, "Late", "late", retry_in=timedelta(0)),
    E.RELEASED: lambda queue, lease: queue.release(lease),
}


@dataclass
class Expected:
    """A task in the model; times are seconds of the model's clock."""

    new: NewTask
    run_at: float
    expires_at: float | None
    state: TaskState
    attempt: int = 0
    lease: Lease | None = None
    lease_until: float = 0
    log: list[TaskEventType] = field(default_factory=list)

    def end(self, state: TaskState) -> None:
        self.state, self.lease, self.expires_at = state, None, None
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

    def add(self, task_id: str, new: NewTask) -> None:
        assert task_id not in self.tasks
        expires_at = None if new.expires_in is None else self.now + new.expires_in.total_seconds()
        state = S.SCHEDULED if new.delay else S.QUEUED
        self.tasks[task_id] = Expected(new, self.now + new.delay.total_seconds(), expires_at, state)

    def given(self, limit: int) -> list[str]:
        due = [
            (-task.new.priority, task.run_at, task_id)
            for task_id, task in self.tasks.items()
            if task.state is S.QUEUED and task.new.queue not in self.paused and not self.expired(task)
        ]
        return [task_id for _, _, task_id in sorted(due)[:limit]]

    def claimed(self, lease: Lease) -> None:
        task = self.tasks[lease.task_id]
        task.state, task.lease, task.lease_until, task.expires_at = S.PROCESSING, lease, self.now + LEASE, None
        task.attempt += 1
        self.leases.append(lease)

    def expired(self, task: Expected) -> bool:
        return task.expires_at is not None and task.expires_at <= self.now

    def held(self) -> list[Lease]:
        return [task.lease for task in self.tasks.values() if task.lease is not None]

    def stale(self) -> list[Lease]:
        return [lease for lease in self.leases if lease not in self.held()]

    def in_state(self, *states: TaskState) -> list[str]:
        return [task_id for task_id, task in self.tasks.items() if task.state in states]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


RULES: set[str] = set()
ANY_TASK = precondition(lambda self: bool(self.model.tasks))
ANY_LEASE = precondition(lambda self: bool(self.model.leases))
ANY_HELD = precondition(lambda self: bool(self.model.held()))
ANY_STALE = precondition(lambda self: bool(self.model.stale()))
ANY_FINAL = precondition(lambda self: bool(self.model.in_state(*FINAL)))
ANY_SCHEDULED = precondition(lambda self: bool(self.model.in_state(S.SCHEDULED)))
ANY_PAUSED = precondition(lambda self: bool(self.model.paused))


def step(**given: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a rule whose firings are counted."""

    def decorate(method: Callable[..., None]) -> Callable[..., None]:
        RULES.add(method.__name__)

        @wraps(method)
        def counted(self: QueueMachine, **values: Any) -> None:
            self.fired[method.__name__] += 1
            self.world.pass_a_moment()
            self.model.now += MOMENT
            method(self, **values)

        decorated: Callable[..., None] = rule(**given)(counted)  # type: ignore[no-untyped-call]
        return decorated

    return decorate


class QueueMachine(RuleBasedStateMachine):
    """Calls a queue in any order, and expects of it what the model says."""

    def __init__(self, world: World, fired: Counter[str]) -> None:
        super().__init__()
        self.world = world
        self.queue = world.queue
        self.run = world.run
        self.fired = fired
        self.model = Model()
        self.seen: dict[str, Task] = {}

    def teardown(self) -> None:
        try:
            for task_id, task in self.model.tasks.items():
                self.check_log(task_id, task)
        finally:
            self.world.close()

    def a_task(self, pick: int, *states: TaskState) -> tuple[str, Expected]:
        found = self.model.in_state(*states)
        task_id = found[pick % len(found)]
        return task_id, self.model.tasks[task_id]

    def a_held_task(self, pick: int) -> tuple[Lease, Expected]:
        held = self.model.held()
        lease = held[pick % len(held)]
        return lease, self.model.tasks[lease.task_id]

    def settle(self, lease: Lease, event: TaskEventType) -> None:
        self.model.settled[lease.token] = event

    @step(priority=st.integers(0, 2), delay=DELAYS, expires=st.booleans(), attempts=st.integers(1, 3), queue=NAMES)
    def enqueue(self, priority: int, delay: int, expires: bool, attempts: int, queue: str) -> None:
        new = NewTask(
            owner_id=OWNER,
            actor="echo",
            payload={},
            queue=queue,
            priority=priority,
            delay=seconds(delay),
            max_attempts=attempts,
            expires_in=seconds(EXPIRES_IN) if expires else None,
        )
        self.model.add(self.run(self.queue.enqueue(new)).id, new)

    @step(key=st.sampled_from(["k", "l"]))
    def enqueue_under_a_unique_key(self, key: str) -> None:
        new = NewTask(owner_id=OWNER, actor="echo", payload={}, queue="a", unique_key=key, unique_for="live")
        first = self.model.keys.get(key)
        task = self.run(self.queue.enqueue(new))
        if first is not None and not self.model.tasks[first].state.final:
            assert task.id == first
        else:
            self.model.keys[key] = task.id
            self.model.add(task.id, new)

    @step(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        expected = self.model.given(limit)
        taken = self.run(self.queue.claim(CLAIMER, limit=limit))
        assert [task.id for task in taken] == expected
        for task in taken:
            self.model.claimed(Lease.of(task))

    @ANY_LEASE
    @step(picks=st.lists(PICK, min_size=1, max_size=4))
    def extend(self, picks: list[int]) -> None:
        leases = {self.model.leases[pick % len(self.model.leases)] for pick in picks}
        held = leases & set(self.model.held())
        assert self.run(self.queue.renew(leases)) == leases - held
        for lease in held:
            self.model.tasks[lease.task_id].lease_until = self.model.now + LEASE

    @ANY_HELD
    @step(pick=PICK, events=st.lists(st.sampled_from(EVENTS), min_size=1, max_size=3), repeats=st.integers(1, 2))
    def record(self, pick: int, events: list[NewEvent], repeats: int) -> None:
        lease, task = self.a_held_task(pick)
        for _ in range(repeats):
            self.run(self.queue.append_events(lease, events, seq=len(task.log)))
        task.log += [event.type for event in events]

    @ANY_HELD
    @step(pick=PICK, repeats=st.integers(1, 2))
    def complete(self, pick: int, repeats: int) -> None:
        lease, task = self.a_held_task(pick)
        for _ in range(repeats):
            self.run(self.queue.complete(lease, {"by": lease.token}))
        task.end(S.COMPLETED)
        self.settle(lease, E.COMPLETED)

    @ANY_HELD
    @step(pick=PICK, pause=DELAYS)
    def fail_to_be_tried_again(self, pick: int, pause: int) -> None:
        lease, task = self.a_held_task(pick)
        if task.attempt >= task.new.max_attempts:
            return
        self.run(self.queue.fail(lease, "Broken", "again", retry_in=seconds(pause)))
        task.again(E.RETRYING, self.model.now + pause, self.model.now)
        self.settle(lease, E.RETRYING)

    @ANY_HELD
    @step(pick=PICK)
    def fail_for_good(self, pick: int) -> None:
        lease, task = self.a_held_task(pick)
        self.run(self.queue.fail(lease, "Broken", "no", retry_in=None))
        task.end(S.FAILED)
        self.settle(lease, E.FAILED)

    @ANY_HELD
    @step(pick=PICK)
    def release(self, pick: int) -> None:
        lease, task = self.a_held_task(pick)
        self.run(self.queue.release(lease))
        task.attempt -= 1
        task.again(E.RELEASED, task.run_at, self.model.now)
        self.settle(lease, E.RELEASED)

    @ANY_TASK
    @step(pick=PICK)
    def cancel(self, pick: int) -> None:
        task_id, task = self.a_task(pick, *S)
        if task.state in (S.COMPLETED, S.FAILED):
            with pytest.raises(ConflictError):
                self.run(self.queue.cancel(task_id, owner_id=OWNER))
        else:
            assert self.run(self.queue.cancel(task_id, owner_id=OWNER)).state is S.CANCELLED
            if not task.state.final:
                task.end(S.CANCELLED)

    @ANY_FINAL
    @step(pick=PICK, key=st.sampled_from(["k", "l"]))
    def replay(self, pick: int, key: str) -> None:
        task_id, first = self.a_task(pick, *FINAL)
        known = self.model.replays.get((task_id, key))
        task = self.run(self.queue.replay(task_id, owner_id=OWNER, key=key))
        assert task.replay_of == task_id
        if known is None:
            self.model.replays[task_id, key] = task.id
            self.model.add(task.id, replace(first.new, delay=timedelta(0), expires_in=None))
        else:
            assert task.id == known

    @ANY_TASK
    @step(ticks=st.integers(1, 2))
    def time_passes(self, ticks: int) -> None:
        self.world.pass_time(ticks * TICK)
        self.model.now += ticks * TICK

    @ANY_SCHEDULED
    @step()
    def promote(self) -> None:
        due = [
            task for task in self.model.tasks.values() if task.state is S.SCHEDULED and task.run_at <= self.model.now
        ]
        assert self.run(self.queue.promote()) == len(due)
        for task in due:
            task.state = S.QUEUED

    @ANY_HELD
    @step()
    def recover(self) -> None:
        lost = [lease for lease in self.model.held() if self.model.tasks[lease.task_id].lease_until <= self.model.now]
        found = self.run(self.queue.recover())
        assert {task.id for task in found} == {lease.task_id for lease in lost}
        for lease in lost:
            task = self.model.tasks[lease.task_id]
            if task.attempt >= task.new.max_attempts:
                task.end(S.FAILED)
            else:
                task.again(E.RETRYING, self.model.now, self.model.now)

    @ANY_TASK
    @step()
    def expire(self) -> None:
        late = {task_id for task_id, task in self.model.tasks.items() if self.model.expired(task)}
        assert {task.id for task in self.run(self.queue.expire())} == late
        for task_id in late:
            self.model.tasks[task_id].end(S.FAILED)

    @step(queue=NAMES)
    def pause(self, queue: str) -> None:
        self.run(self.queue.pause(queue))
        self.model.paused.add(queue)
        assert self.run(self.queue.paused()) == self.model.paused

    @ANY_PAUSED
    @step(queue=NAMES)
    def resume(self, queue: str) -> None:
        self.run(self.queue.resume(queue))
        self.model.paused.discard(queue)
        assert self.run(self.queue.paused()) == self.model.paused

    @ANY_STALE
    @step(pick=PICK, write=st.sampled_from(sorted(ZOMBIE_WRITES)))
    def a_zombie_writes(self, pick: int, write: TaskEventType) -> None:
        lease = self.model.stale()[pick % len(self.model.stale())]
        try:
            self.run(ZOMBIE_WRITES[write](self.queue, lease))
        except LeaseLostError:
            return
        assert self.model.settled.get(lease.token) == write, "only the repeat of its own last write is accepted"

    @invariant()
    def every_task_is_as_the_model_says(self) -> None:
        found = {task.id: task for task in self.run(self.queue.find(EVERYBODYS, limit=1000))}
        assert found.keys() == self.model.tasks.keys()
        for task_id, task in found.items():
            self.check(task, self.model.tasks[task_id])
            if task_id in self.seen:
                check_step(self.seen[task_id], task)
        holders = [task.lease.token for task in found.values() if task.lease is not None]
        assert sorted(holders) == sorted(lease.token for lease in self.model.held())
        self.seen = found

    def check(self, task: Task, expected: Expected) -> None:
        assert (task.state, task.attempt, task.event_count) == (expected.state, expected.attempt, len(expected.log))
        assert 0 <= task.attempt <= task.max_attempts
        assert (task.lease is not None) is (task.state is S.PROCESSING)
        if task.lease is not None and expected.lease is not None:
            assert task.lease.token == expected.lease.token
        if task.id not in self.seen or self.seen[task.id].event_count != task.event_count:
            self.check_log(task.id, expected)

    def check_log(self, task_id: str, expected: Expected) -> None:
        events = self.run(self.queue.events(task_id))
        assert [event.seq for event in events] == list(range(len(events)))
        assert [event.type for event in events] == expected.log
        terminal = [event.seq for event in events if event.type.terminal]
        assert terminal == ([len(events) - 1] if expected.state.final else [])


def check_step(before: Task, after: Task) -> None:
    """Check that a task went only where it may go, and did not change once it was final."""
    assert after.state in {before.state, *LAWFUL[before.state]}, f"{before.state} became {after.state}"
    assert after.event_count >= before.event_count
    if before.state.final:
        assert after.model_dump(exclude=MAY_DIFFER) == before.model_dump(exclude=MAY_DIFFER)


def drive(make_world: Callable[[], World], *, examples: int, steps: int) -> None:
    """Run the machine, and check that it called everything."""
    fired: Counter[str] = Counter()
    run_state_machine_as_test(
        lambda: QueueMachine(make_world(), fired),  # type: ignore[arg-type]  # it takes a factory, too
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )

    assert fired.keys() == RULES, f"never called: {sorted(RULES - fired.keys())}"


@pytest.mark.timeout(300)
def test_memory_queue_agrees_with_model() -> None:
    with asyncio.Runner() as runner:
        drive(lambda: MemoryWorld(runner), examples=200, steps=30)


@pytest.mark.timeout(900)
def test_real_queue_agrees_with_model(mongo_uri: str) -> None:
    with migrated_database(mongo_uri) as name, asyncio.Runner() as runner, opened(runner, mongo_uri, name) as database:
        drive(lambda: MongoWorld(runner, database), examples=60, steps=30)
