"""Claimers race for tasks of several owners under shared limits, and die in the middle: no limit is ever exceeded, and
nothing that is due is left over."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest
from pymongo.read_concern import ReadConcern

from appdb import (
    Claimer,
    Database,
    DatabaseUnavailableError,
    Lease,
    LeaseLostError,
    Limit,
    NewTask,
    Task,
    TaskQueue,
    TaskState,
)
from appdb.models import TaskFilter
from appsupport.mongo.fail_points import fail_point

LEASE = timedelta(seconds=1)
CLAIMERS = 12
TASKS = 150
GIVE_UP_SECONDS = 90
LIMITS = (
    (),
    (Limit(key="one", concurrency=1),),
    (Limit(key="two", concurrency=2),),
    (Limit(key="two", concurrency=3), Limit(key="rate", rate=40, per=timedelta(seconds=1))),
    (Limit(key="three", concurrency=3), Limit(key="one", concurrency=1)),
    (Limit(key="three", concurrency=4), Limit(key="three", rate=60)),
)
EVERYBODYS = TaskFilter(owner_id=None, states=frozenset({TaskState.COMPLETED}))


class Race:
    """Claimers, a sweeper and an observer of one database."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.chance = random.Random(seed)
        self.exceeded: list[str] = []
        self.ends: Counter[str] = Counter()
        self.over = False

    async def fill(self) -> None:
        queue = TaskQueue(self.database)
        await queue.enqueue_many(
            [
                NewTask(
                    owner_id=f"usr_{self.chance.randrange(20)}",
                    actor="echo",
                    payload={},
                    queue=self.chance.choice("ab"),
                    priority=self.chance.randrange(2),
                    limits=self.chance.choice(LIMITS),
                    max_attempts=1_000,
                )
                for _ in range(TASKS)
            ]
        )

    async def claim_and_end(self, number: int) -> None:
        queue, dead = TaskQueue(self.database, lease=LEASE), 0
        while not self.over:
            claimer = Claimer(worker_id=f"w{number}.{dead}", queues=("a", "b"), handlers=("echo@1",))
            try:
                # Some claims are cut off wherever they are: what they took is held by nobody.
                async with asyncio.timeout(self.chance.choice((0.02, 0.1, *[30] * 14))):
                    tasks = await queue.claim(claimer, limit=self.chance.randrange(1, 6))
            except TimeoutError:
                self.ends["cut off"] += 1
                queue, dead = TaskQueue(self.database, lease=LEASE), dead + 1
                continue
            except DatabaseUnavailableError:
                self.ends["refused"] += 1
                continue
            for task in tasks:
                await self.end(queue, task)
            if not tasks:
                await asyncio.sleep(0.02)

    async def end(self, queue: TaskQueue, task: Task) -> None:
        way = self.chance.choices(("completed", "failed", "released", "died"), (8, 2, 2, 1))[0]
        self.ends[way] += 1
        lease = Lease.of(task)
        try:
            if way == "completed":
                await queue.complete(lease)
            elif way == "failed":
                await queue.fail(lease, "Broken", "again", retry_in=timedelta(0))
            elif way == "released":
                await queue.release(lease)
        except LeaseLostError:
            self.ends["lost"] += 1

    async def sweep(self) -> None:
        queue = TaskQueue(self.database, lease=LEASE)
        while not self.over:
            await queue.recover()
            await queue.promote()
            done = len(await queue.find(EVERYBODYS, limit=TASKS))
            self.over = done == TASKS
            await asyncio.sleep(0.1)

    async def observe(self) -> None:
        """Look at all that runs at one moment, again and again."""
        tasks = self.database.collection("tasks").with_options(read_concern=ReadConcern("snapshot"))
        while not self.over:
            found = [row async for row in tasks.find({"state": "processing"}, {"limits": 1})]
            running = Counter(key for row in found for key in {limit["key"] for limit in row["limits"]})
            for limit in (limit for row in found for limit in row["limits"]):
                if limit["concurrency"] is not None and running[limit["key"]] > limit["concurrency"]:
                    self.exceeded.append(f"{running[limit['key']]} run under {limit}")
            await asyncio.sleep(0.005)


@pytest.mark.timeout(GIVE_UP_SECONDS + 30)
async def test_racing_dying_claimers_never_exceed_limit(database: Database) -> None:
    race = Race(database, 1)
    await race.fill()
    async with asyncio.timeout(GIVE_UP_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(race.sweep())
        group.create_task(race.observe())
        for number in range(CLAIMERS):
            group.create_task(race.claim_and_end(number))

    assert race.exceeded == []
    assert race.ends["completed"] >= TASKS
    assert {"died", "cut off", "released", "failed"} <= race.ends.keys()


@pytest.mark.parametrize("limit", [1, 8])
async def test_concurrent_claimers_avoid_each_others_tasks(database: Database, limit: int) -> None:
    count = 300 * limit
    new = [NewTask(owner_id=f"usr_{number % 2}", actor="echo", payload={}) for number in range(count)]
    await TaskQueue(database).enqueue_many(new)
    given: list[int] = []

    async def claim(name: str) -> None:
        queue = TaskQueue(database)
        claimer = Claimer(worker_id=name, queues=("default",), handlers=("echo@1",))
        while sum(given) < count:
            given.append(len(await queue.claim(claimer, limit=limit)))

    await asyncio.gather(*(claim(f"w{number}") for number in range(CLAIMERS)))

    assert sum(given) == count
    # In the beginning nobody knows of the others, and in the end there is nothing; without a division it is a half.
    assert given.count(0) <= len(given) // 4


async def test_refused_claim_returns_what_it_took(database: Database) -> None:
    queue = TaskQueue(database)
    limited = await queue.enqueue(
        NewTask(owner_id="usr_a", actor="echo", payload={}, limits=(Limit(key="one", concurrency=1),))
    )
    free = await queue.enqueue(NewTask(owner_id="usr_b", actor="echo", payload={}))
    claimer = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))
    # The limit's document, the task under it, and then what is free.
    data = {"failCommands": ["update"], "errorCode": 8000}
    admin = database.raw.client.admin
    try:
        await admin.command({"configureFailPoint": "failCommand", "mode": {"skip": 2}, "data": data})
        taken = await queue.claim(claimer, limit=2)
    finally:
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    assert [task.id for task in taken] == [limited.id]
    assert [task.id for task in await queue.claim(claimer, limit=2)] == [free.id]


async def test_claimer_losing_all_races_asks_again_soon(database: Database, mongo_uri: str) -> None:
    await TaskQueue(database).enqueue_many([NewTask(owner_id="usr_a", actor="echo", payload={})] * 2)
    slow = Claimer(worker_id="slow", queues=("default",), handlers=("echo@1",))
    async with Database(mongo_uri, database.name, app_name="slow") as theirs:
        queue = TaskQueue(theirs)
        async with fail_point(database, "slow", ["update"], blockConnection=True, blockTimeMS=1_000) as point:
            claim = asyncio.create_task(queue.claim(slow, limit=2))
            await point.met()
            quick = Claimer(worker_id="quick", queues=("default",), handlers=("echo@1",))
            assert len(await TaskQueue(database).claim(quick, limit=2)) == 2
            assert await claim == []
        told = queue.limit_reached

        assert told
        assert await queue.claim(slow, limit=2) == []
        assert not queue.limit_reached
