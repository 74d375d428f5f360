"""A state machine over owners, limits, pauses and priorities: whatever happens in whatever order, no limit is ever
exceeded, and a claim gives nothing only if nothing may start."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from appdb import Claimer, Lease, Limit, NewTask, TaskQueueProtocol
from appsupport.mongo.shared_database import migrated_database
from appsupport.queue.queue_worlds import LEASE, MemoryWorld, MongoWorld, World, opened

CLAIMER = Claimer(worker_id="w1", queues=("a", "b"), handlers=("echo@1",))
PER = timedelta(days=30)
"""Far longer than an example takes: a bucket fills again only when the machine lets time pass."""
ONE, TWO, THREE = (Limit(key="k", concurrency=number) for number in (1, 2, 3))
FEW, MORE = (Limit(key="r", rate=number, per=PER) for number in (2, 4))
BOTH = Limit(key="b", concurrency=2, rate=5, per=PER)
CARRIED: list[tuple[Limit, ...]] = [
    *[()] * 4,
    (ONE,),
    (TWO,),
    (TWO, THREE),
    (FEW,),
    (MORE,),
    (MORE, FEW),
    (TWO, MORE),
    (BOTH, ONE),
]
WORDS = [Limit(key="k", concurrency=2), Limit(key="r", rate=3, per=PER), Limit(key="b", concurrency=1)]
OWNERS = ["usr_0"] * 6 + [f"usr_{number}" for number in range(12)]
PICK = st.integers(0, 50)


class Model:
    """The model: tasks that wait and run, and the rate that was spent since the buckets were full."""

    def __init__(self) -> None:
        self.due: dict[str, NewTask] = {}
        self.running: dict[str, tuple[NewTask, Lease]] = {}
        self.spent: dict[str, Counter[int]] = {}
        self.words: dict[str, Limit] = {}
        self.paused: set[str] = set()

    def may_start(self, new: NewTask) -> bool:
        return new.queue not in self.paused and all(self._allows(limit) for limit in new.limits)

    def start(self, task_id: str, lease: Lease) -> None:
        new = self.due.pop(task_id)
        for key in {limit.key for limit in new.limits}:
            spent = self.spent.setdefault(key, Counter())
            for limit in self._counting(key, new.limits):
                spent[limit.rate or 0] += 0
            for rate in spent:
                spent[rate] = min(rate, spent[rate] + 1)
        self.running[task_id] = (new, lease)

    def _allows(self, limit: Limit) -> bool:
        carried = [one for new, _ in self.running.values() for one in new.limits if one.key == limit.key]
        running = sum(any(one.key == limit.key for one in new.limits) for new, _ in self.running.values())
        counting = self._counting(limit.key, [limit, *carried])
        widest = min((one.concurrency for one in counting if one.concurrency is not None), default=None)
        rate = self.words.get(limit.key, limit).rate
        has_room = widest is None or running < widest
        return has_room and (rate is None or self.spent.get(limit.key, Counter())[rate] < rate)

    def _counting(self, key: str, limits: Sequence[Limit]) -> list[Limit]:
        word = self.words.get(key)
        return [limit for limit in limits if limit.key == key] if word is None else [word]


class LimitsMachine(RuleBasedStateMachine):
    """Calls a queue in any order, and asks of each claim what the two promises say."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.queue, self.run = world, world.queue, world.run
        self.model = Model()

    def teardown(self) -> None:
        self.world.close()

    @rule(
        owner=st.sampled_from(OWNERS),
        limits=st.sampled_from(CARRIED),
        queue=st.sampled_from(CLAIMER.queues),
        priority=st.integers(0, 2),
        count=st.integers(1, 3),
    )
    def enqueue(self, owner: str, limits: tuple[Limit, ...], queue: str, priority: int, count: int) -> None:
        for _ in range(count):
            new = NewTask(owner_id=owner, actor="echo", payload={}, queue=queue, priority=priority, limits=limits)
            self.model.due[self.run(self.queue.enqueue(new)).id] = new

    @rule(limit=st.integers(1, 12))
    def claim(self, limit: int) -> None:
        if not self.take(self.queue, limit) and not self.queue.limit_reached:
            self.check_that_nothing_may_start()

    @rule(limit=st.integers(1, 12))
    def claim_all_as_somebody_new(self, limit: int) -> None:
        queue = self.world.elsewhere()
        while self.take(queue, limit):
            pass
        self.check_that_nothing_may_start()

    def take(self, queue: TaskQueueProtocol, limit: int) -> int:
        taken = self.run(queue.claim(CLAIMER, limit=limit))
        assert len(taken) <= limit
        # Together they must be allowed, in some order; one claim may give them back in another.
        left = [(task.id, Lease.of(task)) for task in taken]
        while left:
            allowed = [(task_id, lease) for task_id, lease in left if self.model.may_start(self.model.due[task_id])]
            assert allowed, f"{len(left)} of {len(taken)} tasks exceed a limit"
            self.model.start(*allowed[0])
            left.remove(allowed[0])
        return len(taken)

    def check_that_nothing_may_start(self) -> None:
        assert [new for new in self.model.due.values() if self.model.may_start(new)] == []

    @precondition(lambda self: bool(self.model.running))
    @rule(pick=PICK, back=st.booleans())
    def end(self, pick: int, back: bool) -> None:
        task_id = list(self.model.running)[pick % len(self.model.running)]
        new, lease = self.model.running.pop(task_id)
        if back:
            self.run(self.queue.release(lease))
            self.model.due[task_id] = new
        else:
            self.run(self.queue.complete(lease))

    @precondition(lambda self: bool(self.model.due))
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        task_id = list(self.model.due)[pick % len(self.model.due)]
        self.run(self.queue.cancel(task_id, owner_id=self.model.due.pop(task_id).owner_id))

    @precondition(lambda self: bool(self.model.running))
    @rule()
    def everybody_dies(self) -> None:
        self.world.pass_time(LEASE.total_seconds() + 1)
        again = {task.id for task in self.run(self.queue.recover())}
        # Those who died too often have failed.
        self.model.due |= {task_id: new for task_id, (new, _) in self.model.running.items() if task_id in again}
        self.model.due = {
            task_id: new for task_id, new in self.model.due.items() if self.state_of(task_id, new) == "queued"
        }
        self.model.running = {}

    def state_of(self, task_id: str, new: NewTask) -> str:
        return self.run(self.queue.get(task_id, owner_id=new.owner_id)).state.value

    @rule()
    def buckets_fill(self) -> None:
        self.run(self.queue.renew([lease for _, lease in self.model.running.values()]))
        self.world.pass_time(PER.total_seconds() + 1)
        self.run(self.queue.renew([lease for _, lease in self.model.running.values()]))
        self.run(self.queue.prune(older_than=timedelta(days=1)))
        self.model.spent = {}

    @rule(queue=st.sampled_from(CLAIMER.queues), stop=st.booleans())
    def pause_or_resume(self, queue: str, stop: bool) -> None:
        self.run(self.queue.pause(queue) if stop else self.queue.resume(queue))
        self.model.paused = self.model.paused | {queue} if stop else self.model.paused - {queue}

    @rule(word=st.sampled_from(WORDS), clear=st.booleans())
    def set_or_clear(self, word: Limit, clear: bool) -> None:
        if clear:
            self.run(self.queue.clear_limit(word.key))
            self.model.words.pop(word.key, None)
        else:
            self.run(self.queue.set_limit(word))
            self.model.words[word.key] = word


def drive(make_world: Callable[[], World], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: LimitsMachine(make_world()),  # type: ignore[arg-type]  # it takes a factory, too
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


@pytest.mark.timeout(300)
def test_memory_queue_fills_and_never_exceeds_limits() -> None:
    with asyncio.Runner() as runner:
        drive(lambda: MemoryWorld(runner), examples=200, steps=30)


@pytest.mark.timeout(900)
def test_real_queue_fills_and_never_exceeds_limits(mongo_uri: str) -> None:
    with migrated_database(mongo_uri) as name, asyncio.Runner() as runner, opened(runner, mongo_uri, name) as database:
        drive(lambda: MongoWorld(runner, database), examples=40, steps=30)
