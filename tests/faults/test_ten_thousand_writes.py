"""The primary is killed in the middle of many writes of every kind: acknowledged writes stay."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest

from appdb import (
    Claimer,
    ContentRepository,
    Database,
    DatabaseUnavailableError,
    Lease,
    NewEvent,
    NewTask,
    Task,
    TaskEventType,
    TaskQueue,
    TaskState,
    uuid7_str,
)
from appdb.models import ContentKind, NewContent
from appsupport.faults.acknowledged_writes import OWNER, Acknowledged
from appsupport.faults.fault_bounds import NOISE_SECONDS, QUICK_ELECTION
from appsupport.mongo.replica_set import SERVER_ELECTION, ReplicaSet, fresh_database

T = TypeVar("T")
LANES = 16
LONGEST_CALL_SECONDS = 20
LEFT_TO_THE_CALLER = {"claim"}


@dataclass
class MixedWrites:
    """Lanes that enqueue, claim, record, store, complete and run transactions, until *count* are acknowledged."""

    database: Database
    count: int
    record: Acknowledged = field(default_factory=Acknowledged)
    contents: dict[str, bytes] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)
    acknowledged: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def __post_init__(self) -> None:
        self._queue = TaskQueue(self.database)
        self._media = ContentRepository(self.database)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(LANES):
                group.create_task(self._lane(f"wrk_lane-{number}"))

    async def until(self, count: int) -> None:
        """Return when *count* writes are acknowledged."""
        while self.acknowledged.total() < count:
            await asyncio.sleep(0.01)

    async def _lane(self, worker_id: str) -> None:
        claimer = Claimer(worker_id=worker_id, queues=(worker_id,), handlers=("load@1",))
        while self.acknowledged.total() < self.count:
            # Without an id of its own: that appdb repeats the call must not double the task.
            task = NewTask(owner_id=OWNER, actor="load", payload={}, queue=worker_id, max_attempts=9)
            self.record.note_enqueued(await self._acknowledged("enqueue", partial(self._queue.enqueue, task)))
            for claimed in await self._claimed(claimer):
                await self._perform(claimed)
            await self._note()

    async def _claimed(self, claimer: Claimer) -> list[Task]:
        try:
            return await self._acknowledged("claim", partial(self._queue.claim, claimer))
        except DatabaseUnavailableError:
            return []  # if it was written, the lease frees the task

    async def _perform(self, task: Task) -> None:
        lease = Lease.of(task)
        started = NewEvent(type=TaskEventType.STARTED, data={"attempt": 1, "worker_id": lease.worker_id})
        await self._acknowledged("record", partial(self._queue.append_events, lease, [started], seq=task.event_count))
        if random.random() < 0.25:
            await self._store(lease, task)
        result = {"token": lease.token}
        await self._acknowledged("complete", partial(self._queue.complete, lease, result))
        self.record.note_completed(lease, result)

    async def _store(self, lease: Lease, task: Task) -> None:
        begin = partial(self._media.begin, lease, task, operation="load", provider="load", source_data={})
        await self._acknowledged("begin", begin)
        data = task.id.encode() * 100
        item = NewContent(
            key="a", kind=ContentKind.IMAGE, role="a", media_type="image/png", filename="a.png", data=data
        )
        stored = await self._acknowledged("store", partial(self._media.store, lease, task, item, seq=1))
        self.contents[stored.id] = data

    async def _note(self) -> None:
        key = uuid7_str()

        async def body(session: Any) -> None:
            for part in ("a", "b"):
                await self.database.collection("notes").replace_one(
                    {"_id": key + part}, {"key": key}, upsert=True, session=session
                )

        await self._acknowledged("transaction", lambda: self.database.retry(lambda: self.database.transaction(body)))
        self.notes.add(key)

    async def _acknowledged(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        began = time.monotonic()
        try:
            answer = await call()
        except DatabaseUnavailableError:
            self.problems[name] += 1
            raise
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        self.acknowledged[name] += 1
        return answer

    async def _recover(self) -> None:
        """Take back what a claim without an answer has taken; its lease ends first."""
        tasks = self.database.collection("tasks")
        async with asyncio.timeout(self._queue.lease.total_seconds() * 3):
            while await tasks.count_documents({"state": TaskState.PROCESSING}):
                await self._queue.recover()
                await asyncio.sleep(0.5)

    async def check(self) -> None:
        """Hold what was acknowledged against the database."""
        await self._recover()
        await self.record.check(self.database)
        stored = Counter[str]()
        async for row in self.database.collection("notes").find():
            stored[row["key"]] += 1
        assert {key for key, parts in stored.items() if parts == 2} == set(stored), "a transaction was seen in part"
        assert self.notes <= stored.keys(), f"acknowledged transactions are lost: {self.notes - stored.keys()}"
        for content_id, data in self.contents.items():
            content = await self._media.get(content_id, owner_id=OWNER)
            assert b"".join([part async for part in self._media.read(content)]) == data


@pytest.fixture
async def retrying_database(three_nodes: ReplicaSet) -> AsyncIterator[Database]:
    """An open database on the set, with the retry timeout that it has by default."""
    async with fresh_database(three_nodes.uri, retries=True) as database:
        yield database


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("count", "election"),
    [
        pytest.param(1_500, QUICK_ELECTION, id="1500-election-2s", marks=pytest.mark.short),
        pytest.param(10_000, SERVER_ELECTION, id="10000-election-10s"),
    ],
)
async def test_killed_primary_during_writes_reaches_no_caller(
    three_nodes: ReplicaSet, retrying_database: Database, count: int, election: timedelta
) -> None:
    await asyncio.to_thread(three_nodes.set_election, election)
    await retrying_database.collection("notes").insert_one({"_id": "first", "key": "first"})
    await retrying_database.collection("notes").delete_one({"_id": "first"})
    writes = MixedWrites(retrying_database, count)
    running = asyncio.create_task(writes.run())
    await writes.until(count // 2)
    await asyncio.to_thread(three_nodes.kill, await asyncio.to_thread(three_nodes.primary))
    await running
    await asyncio.to_thread(three_nodes.mend)
    print(f"{writes.acknowledged}; problems {writes.problems}; slowest {writes.slowest:.1f} s")  # noqa: T201 - with -s

    await writes.check()
    assert writes.acknowledged.total() >= count
    assert not writes.problems.keys() - LEFT_TO_THE_CALLER
    assert writes.slowest <= LONGEST_CALL_SECONDS + NOISE_SECONDS
