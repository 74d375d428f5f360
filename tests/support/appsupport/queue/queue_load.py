"""Load on a queue while something breaks: loops that enqueue, claim, append and complete, and note each outcome."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from appdb import (
    Claimer,
    DatabaseUnavailableError,
    Lease,
    LeaseLostError,
    NewEvent,
    NewTask,
    Task,
    TaskEventType,
    TaskQueue,
    uuid7_str,
)
from appdb.models import LIVE_STATES
from appsupport.faults.acknowledged_writes import OWNER, Acknowledged

T = TypeVar("T")
ACTOR = "load"
PRODUCERS, CONSUMERS = 4, 4
PACE_SECONDS = (0.02, 0.06)
RETRY_SECONDS = (0.05, 0.3)
IDLE_SECONDS = 0.05
UPKEEP_SECONDS = 0.5
WRITES = frozenset({"enqueue", "record", "complete"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the queue, as its caller saw it; times by the monotonic clock."""

    name: str
    began: float
    ended: float
    problem: str | None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(slots=True)
class QueueLoad:
    """
    Runs from entering the block until, at its end, every task that was acknowledged is final.

    A call that found no database is repeated until it is settled, as the contract allows. Every other error but a lost
    lease ends the block with that error.
    """

    queue: TaskQueue
    record: Acknowledged = field(default_factory=Acknowledged)
    calls: list[Call] = field(default_factory=list)
    lost_leases: int = 0
    _producing: bool = True
    _running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        await self.until_acknowledged(20)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._running is not None
        self._producing = False
        if error is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            return
        await self._running

    async def until_acknowledged(self, completions: int, seconds: float = 60) -> None:
        """Return when that many more tasks were completed."""
        goal = len(self.record.completed) + completions
        async with asyncio.timeout(seconds):
            while len(self.record.completed) < goal:
                self.check_running()
                await asyncio.sleep(IDLE_SECONDS)

    def check_running(self) -> None:
        """Raise what ended the load, if something did."""
        if self._running is not None and self._running.done():
            self._running.result()

    def writes_back_after(self, moment: float) -> float:
        """Return how many seconds after *moment* the first write that began later was acknowledged."""
        return min(call.ended for call in self._writes(moment) if call.problem is None) - moment

    @property
    def slowest(self) -> Call:
        """The call that took longest."""
        return max(self.calls, key=lambda call: call.seconds)

    def problems(self) -> Counter[str]:
        """Return how often each call found no database."""
        return Counter(call.name for call in self.calls if call.problem is not None)

    def writes_between(self, start: float, end: float) -> list[Call]:
        """Return the writes that began and were acknowledged between two moments."""
        return [call for call in self._writes(start) if call.ended < end and call.problem is None]

    def summary(self) -> str:
        """Return what happened, for people."""
        return (
            f"{len(self.record.enqueued)} enqueued, {len(self.record.completed)} completed, "
            f"{self.lost_leases} leases lost; found no database: {dict(self.problems())}; slowest: {self.slowest}"
        )

    def _writes(self, moment: float) -> list[Call]:
        return [call for call in self.calls if call.name in WRITES and call.began >= moment]

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            producers = [group.create_task(self._produce()) for _ in range(PRODUCERS)]
            loops = [group.create_task(self._consume(f"wrk_load-{n}", 1 + n % 2 * 3)) for n in range(CONSUMERS)]
            loops.append(group.create_task(self._keep_up()))
            await asyncio.gather(*producers)
            while await self._open_tasks():
                await asyncio.sleep(IDLE_SECONDS * 4)
            for loop in loops:
                loop.cancel()

    async def _open_tasks(self) -> bool:
        look = partial(self.queue.page, owner_id=OWNER, states=LIVE_STATES, limit=1)
        return bool(await self._settled("page", look))

    async def _produce(self) -> None:
        while self._producing:
            task = NewTask(owner_id=OWNER, actor=ACTOR, payload={"n": 1}, max_attempts=9, task_id=uuid7_str("tq_"))
            self.record.note_enqueued(await self._settled("enqueue", partial(self.queue.enqueue, task)))
            await asyncio.sleep(random.uniform(*PACE_SECONDS))

    async def _consume(self, worker_id: str, limit: int) -> None:
        claimer = Claimer(worker_id=worker_id, queues=("default",), handlers=(f"{ACTOR}@1",))
        while True:
            tasks = await self._settled("claim", partial(self.queue.claim, claimer, limit=limit))
            for task in tasks:
                await self._perform(task)
            if not tasks:
                await asyncio.sleep(IDLE_SECONDS)

    async def _perform(self, task: Task) -> None:
        lease = Lease.of(task)
        started = NewEvent(type=TaskEventType.STARTED, data={"attempt": lease.attempt, "worker_id": lease.worker_id})
        result = {"token": lease.token}
        try:
            await self._settled("record", partial(self.queue.append_events, lease, [started], seq=task.event_count))
            await self._settled("complete", partial(self.queue.complete, lease, result))
        except LeaseLostError:
            self.lost_leases += 1
        else:
            self.record.note_completed(lease, result)

    async def _keep_up(self) -> None:
        """Do what every worker does beside its tasks."""
        while True:
            await self._settled("recover", self.queue.recover)
            await self._settled("promote", self.queue.promote)
            await asyncio.sleep(UPKEEP_SECONDS)

    async def _settled(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            began = time.monotonic()
            try:
                answer = await call()
            except DatabaseUnavailableError as exc:
                self._note(name, began, str(exc))
                await asyncio.sleep(random.uniform(*RETRY_SECONDS))
            else:
                self._note(name, began, None)
                return answer

    def _note(self, name: str, began: float, problem: str | None) -> None:
        self.calls.append(Call(name=name, began=began, ended=time.monotonic(), problem=problem))
