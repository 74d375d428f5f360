"""An API host alone: it does what both hosts need with `appdb.host`, and no worker is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from pydantic import SecretStr

from appdb import ChangeFeed, Claimer, Database, Lease, NewTask, Task, TaskQueue, TaskState
from appdb.host import GuardFacts, HostMaintenance, LeaseGuard, LeaseRenewer

LEASE = timedelta(seconds=2)
HEARTBEAT = timedelta(seconds=0.4)
OWNER = "usr_a"
HOSTS = 3
DELAYED = 40
DEAD = 20


class Holder:
    """Work that a host does under a lease."""

    def __init__(self, task: Task) -> None:
        self.lease = Lease.of(task)
        self.names: Mapping[str, object] = {"task_id": task.id}
        self.renewed_at = time.monotonic()
        self.lease_lost = False

    def lose_lease(self) -> None:
        self.lease_lost = True


class ApiHost:
    """The loops of `appdb.host` over a connection of their own.

    Args:
        database: The host's own connection.
        uri: What its guard connects to.
    """

    def __init__(self, database: Database, uri: str) -> None:
        self.queue = TaskQueue(database, lease=LEASE)
        facts = GuardFacts(uri=SecretStr(uri), database=database.name, lease=LEASE, heartbeat=HEARTBEAT)
        self.guard = LeaseGuard(facts)
        self.feed = ChangeFeed(database, events=False)
        self.renewer = LeaseRenewer(self.queue, self.feed, self.guard, HEARTBEAT)
        self.maintenance = HostMaintenance(database, self.queue, self.feed, timedelta(days=1))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        loops = [asyncio.create_task(each.run()) for each in (self.feed, self.guard, self.renewer, self.maintenance)]
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def claim(self, worker_id: str, limit: int) -> list[Task]:
        claimer = Claimer(worker_id=worker_id, queues=("default",), handlers=("echo@1",))
        return await self.queue.claim(claimer, limit=limit)


@pytest.fixture
async def hosts(mongo_uri: str, database: Database) -> AsyncIterator[list[ApiHost]]:
    """Several API hosts at the same database, each with a connection of its own."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(Database(mongo_uri, database.name)) for _ in range(HOSTS)]
        made = [ApiHost(connection, mongo_uri) for connection in connections]
        for host in made:
            await stack.enter_async_context(host.running())
        yield made


async def states(database: Database, task_ids: list[str]) -> set[TaskState]:
    found = database.collection("tasks").find({"_id": {"$in": task_ids}}, {"state": 1})
    return {TaskState(row["state"]) async for row in found}


async def until(database: Database, task_ids: list[str], state: TaskState) -> float:
    """Return how long it took until all tasks were in *state*."""
    began = time.monotonic()
    async with asyncio.timeout(30):
        while await states(database, task_ids) != {state}:
            await asyncio.sleep(0.05)
    return time.monotonic() - began


def new(delay: timedelta = timedelta(0)) -> NewTask:
    return NewTask(owner_id=OWNER, actor="echo", payload={}, delay=delay)


async def test_racing_hosts_promote_each_delayed_task_once(database: Database, hosts: list[ApiHost]) -> None:
    task_ids = await hosts[0].queue.enqueue_many([new(delay=timedelta(seconds=1)) for _ in range(DELAYED)])

    assert await until(database, task_ids, TaskState.QUEUED) < 1 + 5
    claims = await asyncio.gather(*(host.claim(f"api-{n}", DELAYED) for n, host in enumerate(hosts)))
    claimed = [task.id for tasks in claims for task in tasks]
    assert len(claimed) == len(set(claimed))


async def test_lease_of_an_api_host_outlives_its_first_term(database: Database, hosts: list[ApiHost]) -> None:
    first, *others = hosts
    await first.queue.enqueue(new())
    (task,) = await first.claim("api-0", 1)
    holder = Holder(task)
    first.renewer.add(holder, time.monotonic() + 60)

    # All hosts try to recover meanwhile, and each other one to claim.
    async with asyncio.timeout(LEASE.total_seconds() * 4):
        for _ in range(10):
            await asyncio.sleep(LEASE.total_seconds() / 4)
            taken = await asyncio.gather(*(host.claim(f"api-{n}", 1) for n, host in enumerate(others, 1)))
            assert taken == [[], []]
    assert not holder.lease_lost
    await first.queue.complete(holder.lease, {"done": True})
    assert await states(database, [task.id]) == {TaskState.COMPLETED}


async def test_racing_hosts_recover_a_dead_holders_tasks_once(database: Database, hosts: list[ApiHost]) -> None:
    await hosts[0].queue.enqueue_many([new() for _ in range(DEAD)])
    held = [Holder(task) for task in await hosts[0].claim("dead", DEAD)]
    task_ids = [holder.lease.task_id for holder in held]

    assert len(task_ids) == DEAD
    assert await until(database, task_ids, TaskState.QUEUED) < LEASE.total_seconds() + 5
    log = [[event.type for event in await hosts[1].queue.events(task_id)] for task_id in task_ids]
    assert log == [log[0]] * DEAD
    # A holder that comes back is told, and stops.
    hosts[0].renewer.add(held[0], time.monotonic() + 60)
    async with asyncio.timeout(5):
        while not held[0].lease_lost:
            await asyncio.sleep(0.05)
