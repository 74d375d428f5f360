"""Wake-ups: whatever the order in which tasks of a run end and readers look, the last reader has seen every end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from appdb import Claimer, ConflictError, Lease, LeaseLostError, NewTask, Task
from appdb.models import FINAL_STATES, TaskFilter
from appdb.testing import InMemoryTaskQueue

OWNER, LEASE = "usr_a", timedelta(seconds=30)
WAKE = NewTask(owner_id=OWNER, actor="advance", payload={}, queue="engine", max_attempts=100)
WORKER = Claimer(worker_id="w", queues=("default",), handlers=("echo@1",))
ENGINE = Claimer(worker_id="e", queues=("engine",), handlers=("advance@1",))
ENDED = TaskFilter(owner_id=OWNER, run_id="wf_1", queue="default", states=frozenset(FINAL_STATES))

Step = tuple[str, int]
STEPS = st.tuples(
    st.sampled_from(["complete", "fail", "cancel", "retry", "claim", "read", "done", "die"]), st.integers(0, 7)
)


@dataclass
class Story:
    """A run whose tasks end, and whose readers claim, look and are done at any time in between.

    Args:
        queue: The queue in memory.
        held: The tasks that run.
        reading: The wake-ups that are claimed, each with what its reader has seen, once it has looked.
    """

    queue: InMemoryTaskQueue
    held: list[Task]
    reading: list[tuple[Task, set[str] | None]] = field(default_factory=list)
    last_seen: set[str] = field(default_factory=set)
    woken: list[str] = field(default_factory=list)

    async def complete(self, at: int) -> None:
        if self.held:
            await self.queue.complete(Lease.of(self.held.pop(at % len(self.held))))

    async def fail(self, at: int) -> None:
        if self.held:
            await self.queue.fail(Lease.of(self.held.pop(at % len(self.held))), "Broken", "no", retry_in=None)

    async def cancel(self, at: int) -> None:
        if self.held:
            await self.queue.cancel(self.held.pop(at % len(self.held)).id, owner_id=OWNER)

    async def retry(self, at: int) -> None:
        ended = await self.queue.find(ENDED)
        if ended:
            with suppress(ConflictError):
                await self.queue.retry(ended[at % len(ended)].id, owner_id=OWNER)
            self.held += await self.queue.claim(WORKER)

    async def claim(self, _: int) -> None:
        self.reading += [(task, None) for task in await self.queue.claim(ENGINE)]

    async def read(self, at: int) -> None:
        if self.reading:
            at %= len(self.reading)
            seen = {task.id for task in await self.queue.find(ENDED, limit=500)}
            self.reading[at] = (self.reading[at][0], seen)
            self.last_seen = seen

    async def done(self, at: int) -> None:
        if self.reading:
            wake, seen = self.reading.pop(at % len(self.reading))
            if seen is None:
                # A reader is done when it has looked.
                self.reading.append((wake, None))
                return
            with suppress(LeaseLostError):
                await self.queue.complete(Lease.of(wake))
                assert wake.cause_id in seen
                self.woken.append(str(wake.cause_id))

    async def die(self, _: int) -> None:
        """Let all readers die, and their leases end."""
        await self.queue.renew([Lease.of(task) for task in self.held])
        self.queue.advance(LEASE / 2)
        await self.queue.renew([Lease.of(task) for task in self.held])
        self.queue.advance(LEASE / 2)
        await self.queue.recover()
        self.reading.clear()


async def _play(steps: list[Step], tasks: int) -> None:
    queue = InMemoryTaskQueue(lease=LEASE)
    for _ in range(tasks):
        await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id="wf_1", on_end=(WAKE,)))
    story = Story(queue, await queue.claim(WORKER, limit=tasks))
    for name, at in steps:
        move: Callable[[int], Awaitable[None]] = getattr(story, name)
        await move(at)
    while story.held:
        await story.complete(0)
    await story.claim(0)
    while story.reading:
        await story.read(0)
        await story.done(0)
        await story.claim(0)
    ended = [task.id for task in await queue.find(ENDED, limit=500)]

    assert sorted(story.woken) == sorted(ended)
    assert story.last_seen == set(ended)


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEPS, max_size=60), tasks=st.integers(1, 8))
def test_every_end_has_been_seen_in_any_order(steps: list[Step], tasks: int) -> None:
    asyncio.run(_play(steps, tasks))
