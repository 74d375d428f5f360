"""Nine ways for an actor to be poison: each ends dead after its attempts, and its neighbours keep their pace."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from appdb import NewTask, Task, TaskQueue, TaskState
from appsupport.faults.worker_fleet import OWNER, Fleet

pytest_plugins = ["appsupport.faults.worker_fleet_fixture"]
pytestmark = [pytest.mark.short, pytest.mark.timeout(600)]

ATTEMPTS = 2
# A result that is too large is so again at the next attempt: there is none.
POISON = {
    "raise": (ATTEMPTS, "RuntimeError", "poison"),
    "exit": (ATTEMPTS, "ProcessDied", "exit code 7"),
    "segfault": (ATTEMPTS, "ProcessDied", "SIGSEGV"),
    "memory": (ATTEMPTS, "ProcessDied", "ran out of memory"),
    "cpu": (ATTEMPTS, "ProcessDied", "SIGXCPU"),
    "deaf": (ATTEMPTS, "Timeout", "out of time"),
    "block": (ATTEMPTS, "Timeout", "out of time"),
    "result": (1, "TooLargeError", "over the limit"),
    "recursion": (ATTEMPTS, "ProcessDied", "SIGSEGV"),
}
NAMES = {"raise": "raise_", "exit": "exit_"}
ACTORS = [f"poison_actors:{NAMES.get(name, name)}" for name in ["neighbour_task", "neighbour_thread", *POISON]]
NEIGHBOURS = 6
KINDS = ["neighbour.task", "neighbour.thread"]
WAIT_SECONDS = 2.0
QUIET_SECONDS = 6.0
POISON_SECONDS = 14.0
SHARE = 0.8


class Neighbours:
    """Tasks that wait, a few at a time, one after the other; and how long each took from its enqueue to its end."""

    def __init__(self, fleet: Fleet) -> None:
        self._took: list[float] = []
        self._fleet = fleet

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Keep them coming for the length of the block."""
        workers = [asyncio.create_task(self._one_after_the_other(kind)) for kind in KINDS * (NEIGHBOURS // 2)]
        yield
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _one_after_the_other(self, kind: str) -> None:
        while True:
            new = NewTask(owner_id=OWNER, actor=kind, payload={"seconds": WAIT_SECONDS})
            began = time.monotonic()
            task = await self._fleet.ledger.enqueue(new)
            while not (await self._fleet.get(task)).state.final:
                await asyncio.sleep(0.05)
            self._took.append(time.monotonic() - began)

    async def throughput(self, seconds: float) -> float:
        """Return how many end in a second, by those that end within *seconds* from now."""
        first = len(self._took)
        await asyncio.sleep(seconds)
        # Each neighbour is one after the other, so their rate is their number over how long one takes: unlike a
        # count, that does not depend on where the window begins and ends.
        return NEIGHBOURS / statistics.mean(self._took[first:])


async def add_poison(fleet: Fleet) -> dict[str, Task]:
    new = {name: NewTask(owner_id=OWNER, actor=f"poison.{name}", payload={}, max_attempts=ATTEMPTS) for name in POISON}
    return {name: await fleet.ledger.enqueue(task) for name, task in new.items()}


async def until_dead(fleet: Fleet, poison: dict[str, Task]) -> None:
    queue = TaskQueue(fleet.database)
    async with asyncio.timeout(120):
        for task in poison.values():
            while not (await queue.get(task.id, owner_id=OWNER)).state.final:
                await asyncio.sleep(0.1)


async def test_poison_ends_after_attempts_neighbours_keep_pace(fleet: Fleet) -> None:
    worker = fleet.start(slots=NEIGHBOURS + 2 * len(POISON), actors=ACTORS)
    neighbours = Neighbours(fleet)
    async with neighbours.at_work():
        await asyncio.sleep(2 * WAIT_SECONDS)
        before = await neighbours.throughput(QUIET_SECONDS)
        poison = await add_poison(fleet)
        poisoned, _ = await asyncio.gather(neighbours.throughput(POISON_SECONDS), until_dead(fleet, poison))
        await asyncio.sleep(WAIT_SECONDS)
        after = await neighbours.throughput(QUIET_SECONDS)
    await fleet.ledger.settle(60)
    facts = await fleet.ledger.check()

    for name, (attempts, kind, message) in POISON.items():
        dead = facts.tasks[poison[name].id]
        begun = [event["attempt"] for event in facts.events[dead["_id"]] if event["type"] == "started"]
        assert (name, dead["state"], dead["attempt"]) == (name, TaskState.FAILED, attempts)
        assert begun == list(range(1, attempts + 1))
        assert (name, dead["error"]["type"]) == (name, kind)
        assert message in dead["error"]["message"]
    others = [task for task in facts.tasks.values() if task["actor"] in KINDS]
    assert {(task["state"], task["attempt"]) for task in others} == {(TaskState.COMPLETED, 1)}
    # The machine may have had other work to do before or after: what it did at the worse of both is the measure.
    quiet = min(before, after)
    told = f"neighbours: {poisoned:.2f} tasks/s beside poison, {before:.2f} before, {after:.2f} after"
    print(told)  # noqa: T201 - a figure to read
    assert poisoned >= SHARE * quiet, told
    worker.check()
