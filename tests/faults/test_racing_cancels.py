"""Cancels at random points, against an attempt that completes, fails, retries, or loses its lease."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from appdb import Claimer, Lease, LeaseLostError, NewTask, Task, TaskQueue
from appsupport.faults.worker_fleet import LEASE_SECONDS, OWNER, RECOVER_SECONDS, Fleet, rounds, seeded, signal_to

pytest_plugins = ["appsupport.faults.worker_fleet_fixture"]
pytestmark = [pytest.mark.short, pytest.mark.timeout(3600)]
LEASE = timedelta(seconds=1)
CLAIMER = Claimer(worker_id="wrk_test", queues=("race",), handlers=("race@1",))
Rival = Callable[[TaskQueue, Lease], Awaitable[object]]


async def complete(queue: TaskQueue, lease: Lease) -> None:
    await queue.complete(lease, {"done": True})


async def retry(queue: TaskQueue, lease: Lease) -> None:
    await queue.fail(lease, "Broken", "on purpose", retry_in=timedelta(0))


async def fail(queue: TaskQueue, lease: Lease) -> None:
    await queue.fail(lease, "Broken", "on purpose", retry_in=None)


async def release(queue: TaskQueue, lease: Lease) -> None:
    await queue.release(lease)


async def recover(queue: TaskQueue, lease: Lease) -> None:
    async with asyncio.timeout(30):
        while not [task for task in await queue.recover() if task.id == lease.task_id]:
            current = await queue.get(lease.task_id, owner_id=OWNER)
            if current.lease is None:
                return
            await asyncio.sleep(0.01)


RIVALS: dict[str, Rival] = {
    "complete": complete, "retry": retry, "fail": fail, "release": release, "lease end": recover,
}  # fmt: skip


async def race(fleet: Fleet, queue: TaskQueue, competitor: Rival, chance: random.Random) -> None:
    """Cancel one task and let *competitor* write to it, a few milliseconds apart."""
    task = await fleet.ledger.enqueue(NewTask(owner_id=OWNER, actor="race", queue="race", payload={}, max_attempts=2))
    (claimed,) = await queue.claim(CLAIMER)
    assert claimed.id == task.id
    lease = Lease.of(claimed)
    if competitor is recover:
        await asyncio.sleep(LEASE.total_seconds())

    async def later(wait: float, call: Awaitable[object]) -> object:
        await asyncio.sleep(wait)
        return await call

    delays = [0.0, 0.0] if chance.random() < 0.5 else [chance.uniform(0, 0.02), chance.uniform(0, 0.02)]
    answers = await asyncio.gather(
        later(delays[0], fleet.ledger.cancel(task)),
        later(delays[1], competitor(queue, lease)),
        return_exceptions=True,
    )
    assert isinstance(answers[0], bool), answers[0]
    assert answers[1] is None or isinstance(answers[1], LeaseLostError), answers[1]
    if not answers[0]:
        return
    # It is cancelled, so whatever its holder still tries is refused.
    with pytest.raises(LeaseLostError):
        await queue.complete(lease, {"late": True})


@pytest.mark.parametrize("competitor", RIVALS)
async def test_racing_cancel_is_final_or_too_late(fleet: Fleet, competitor: str) -> None:
    chance = seeded()
    queue = TaskQueue(fleet.database, lease=LEASE)
    for _ in range(rounds(short=8)):
        await race(fleet, queue, RIVALS[competitor], chance)
    facts = await fleet.ledger.check()

    states = Counter(task["state"] for task in facts.tasks.values())
    allowed = {"complete": {"completed", "cancelled"}, "fail": {"failed", "cancelled"}}
    assert states.keys() <= allowed.get(competitor, {"cancelled"}), states


async def work_for(fleet: Fleet, chance: random.Random) -> Task:
    """Add a task that completes, fails for good, or retries, soon."""
    return await fleet.add(
        seconds=chance.uniform(0, 0.8),
        steps=chance.randint(1, 6),
        items=chance.choice([0, 1, 3]),
        failures=chance.choice([0, 0, 1, 3]),
    )


async def test_random_cancels_leave_lawful_ends(fleet: Fleet) -> None:
    chance = seeded()
    doomed = fleet.start(slots=4)
    fleet.start(slots=4)
    count = 4 * rounds(short=10)

    async def one(number: int) -> None:
        await asyncio.sleep(number * 0.15)
        task = await work_for(fleet, chance)
        await asyncio.sleep(chance.uniform(0, 1.2))
        await fleet.ledger.cancel(task)

    async def killer() -> None:
        # From here on leases end as well, and cancels meet tasks that are being recovered.
        await asyncio.sleep(count * 0.075)
        signal_to(doomed, signal.SIGKILL)

    await asyncio.gather(killer(), *(one(number) for number in range(count)))
    await fleet.ledger.settle(LEASE_SECONDS + RECOVER_SECONDS + 60)
    facts = await fleet.ledger.check()

    states = Counter(task["state"] for task in facts.tasks.values())
    assert states["cancelled"] == len(facts.acknowledged.cancelled)
    assert states["cancelled"] > 0
    assert states["completed"] > 0
    assert len(facts.acknowledged.cancelled) + len(facts.acknowledged.cancel_refused) == count
