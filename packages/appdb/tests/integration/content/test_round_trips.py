"""Round trips of what attempts store: bytes, one transaction, and little else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from appdb import Claimer, ContentRepository, Database, FileRepository, Lease, NewTask, Task, TaskQueue, TokenRepository
from appdb.models import CallUsage, ContentKind, NewContent, TaskFile
from appsupport.mongo.round_trips import commands_sent
from appsupport.runs.run_repositories import OWNER, open_run

MIB = 1024 * 1024
CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))


class Attempts:
    """The doors of attempts, and a task of a run that is held; the bucket of files and of media is there."""

    def __init__(self, database: Database, task: Task) -> None:
        self.task, self.lease = task, Lease.of(task)
        self._contents = ContentRepository(database)
        self._files = FileRepository(database)
        self._tokens = TokenRepository(database)
        self._seq = 0

    async def store(self, key: str, size: int = MIB) -> None:
        item = NewContent(
            key=key, kind=ContentKind.TEXT, role="r", media_type="text/plain", filename="f", data=b"x" * size
        )
        await self._contents.store(self.lease, self.task, item, seq=self._seq)
        self._seq += 1

    async def describe(self) -> None:
        await self._contents.begin(self.lease, self.task, operation="o", provider="p", source_data={})

    async def file(self, name: str, size: int) -> None:
        await self._files.store(self.lease, self.task, TaskFile(name=name, content="x" * size))

    async def usage(self) -> None:
        call = CallUsage(provider="p", model="m", operation="o", cost=Decimal(1))
        await self._tokens.record_for_task(self.lease, self.task, "call", call)


async def _held(queue: TaskQueue) -> Task:
    await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, run_id="wf_1"))
    (task,) = await queue.claim(CLAIMER)
    return task


@pytest.fixture
async def attempts(database: Database) -> Attempts:
    await open_run(database, "wf_1")
    queue = TaskQueue(database, lease=timedelta(seconds=60))
    made = Attempts(database, await _held(queue))
    await made.store("first")
    await made.file("first", MIB)
    made.task = await _held(queue)
    made.lease, made._seq = Lease.of(made.task), 0
    return made


Call = Callable[[Attempts], Awaitable[None]]
TRANSACTION = 2
"""The fence and the commit."""
CALLS: dict[str, tuple[Call, int]] = {
    "the first item": (lambda attempts: attempts.store("a"), 2 + TRANSACTION + 2),
    "an item of 5 MiB": (lambda attempts: attempts.store("a", 5 * MIB), 2 + 2 + TRANSACTION + 2),
    "a description": (lambda attempts: attempts.describe(), TRANSACTION + 1),
    "a small file": (lambda attempts: attempts.file("a", 10), TRANSACTION + 1),
    "a large file": (lambda attempts: attempts.file("a", MIB), 2 + TRANSACTION + 1),
    "a call": (lambda attempts: attempts.usage(), TRANSACTION + 2),
}


@pytest.mark.parametrize(("call", "most"), CALLS.values(), ids=CALLS)
async def test_store_costs_few_round_trips(attempts: Attempts, call: Call, most: int) -> None:
    with commands_sent() as sent:
        await call(attempts)

    assert len(sent) == most, sent


async def test_later_items_cost_five_round_trips(attempts: Attempts) -> None:
    await attempts.store("a")
    with commands_sent() as sent:
        await attempts.store("b")

    assert sent == ["insert", "insert", "findAndModify", "findAndModify", "commitTransaction"]
