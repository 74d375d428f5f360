"""Usage of tasks: behind the fence, once for each call, with what the task works for."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from appdb import (
    Claimer,
    Database,
    InvalidDataError,
    Lease,
    LeaseLostError,
    NewTask,
    Task,
    TaskQueue,
    TokenRepository,
    WorkflowRepository,
)
from appdb.models import CallUsage, Usage, UsageFilter
from appsupport.runs.run_repositories import OWNER, open_run

CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))
LABELS = {"branch_id": "br_1", "step": "draw", "module": "picture", "sub_action_id": "picture/1"}


@pytest.fixture
def queue(database: Database) -> TaskQueue:
    return TaskQueue(database, lease=timedelta(seconds=30))


@pytest.fixture
def tokens(database: Database) -> TokenRepository:
    return TokenRepository(database)


@pytest.fixture
async def task(database: Database, queue: TaskQueue) -> Task:
    return await claimed(queue, run_id=await open_run(database, "wf_1"), **LABELS)


async def claimed(queue: TaskQueue, **changes: Any) -> Task:
    await queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, **changes))
    (found,) = await queue.claim(CLAIMER)
    return found


def call(cost: str = "0.25", model: str = "small", **changes: Any) -> CallUsage:
    return CallUsage(provider="local", model=model, operation="chat", cost=Decimal(cost), **changes)


async def all_calls(tokens: TokenRepository) -> list[Usage]:
    return await tokens.page(owner_id=OWNER)


async def test_call_is_recorded_for_what_task_works_for(tokens: TokenRepository, task: Task) -> None:
    recorded = await tokens.record_for_task(Lease.of(task), task, "chat-1", call(input_tokens=3))
    (found,) = await tokens.page(owner_id=OWNER, wanted=UsageFilter(run_id="wf_1"))

    assert (found.id, found.cost, found.input_tokens) == (recorded, Decimal("0.25"), 3)
    assert (found.owner_id, found.task_id, found.run_id) == (OWNER, task.id, "wf_1")
    assert (found.branch_id, found.step_id, found.module_name) == ("br_1", "draw", "picture")


async def test_same_key_replaces_and_other_key_adds(tokens: TokenRepository, queue: TaskQueue, task: Task) -> None:
    first = await tokens.record_for_task(Lease.of(task), task, "a", call("1"))
    (before,) = await all_calls(tokens)
    await queue.fail(Lease.of(task), "Broken", "again", retry_in=timedelta(0))
    (again,) = await queue.claim(CLAIMER)
    repeated = await tokens.record_for_task(Lease.of(again), again, "a", call("2", model="large"))
    await tokens.record_for_task(Lease.of(again), again, "b", call("4"))

    found = {usage.id: usage for usage in await all_calls(tokens)}
    assert first == repeated
    assert sorted(usage.cost for usage in found.values()) == [2, 4]
    assert (found[first].model, found[first].created_at) == ("large", before.created_at)


@pytest.mark.parametrize("end", ["cancel", "fail", "complete", "recover"])
async def test_without_lease_nothing_is_recorded(
    tokens: TokenRepository, queue: TaskQueue, database: Database, task: Task, end: str
) -> None:
    lease = Lease.of(task)
    match end:
        case "cancel":
            await queue.cancel(task.id, owner_id=OWNER)
        case "fail":
            await queue.fail(lease, "Broken", "no", retry_in=timedelta(0))
        case "complete":
            await queue.complete(lease)
        case _:
            await database.collection("tasks").update_one({}, {"$set": {"lease.expires_at": task.created_at}})
            await queue.recover()

    with pytest.raises(LeaseLostError):
        await tokens.record_for_task(lease, task, "a", call())
    assert await all_calls(tokens) == []


async def test_cancel_racing_records_counts_all_or_none(tokens: TokenRepository, queue: TaskQueue) -> None:
    for _ in range(20):
        task = await claimed(queue)
        record = tokens.record_for_task(Lease.of(task), task, "a", call())
        recorded, _cancelled = await asyncio.gather(
            record, queue.cancel(task.id, owner_id=OWNER), return_exceptions=True
        )
        found = [usage for usage in await all_calls(tokens) if usage.task_id == task.id]
        assert len(found) == (0 if isinstance(recorded, LeaseLostError) else 1), recorded


async def test_usage_of_task_outlives_its_run(tokens: TokenRepository, database: Database, task: Task) -> None:
    await tokens.record_for_task(Lease.of(task), task, "a", call())
    await WorkflowRepository(database).delete("wf_1", owner_id=OWNER)

    assert [usage.run_id for usage in await all_calls(tokens)] == ["wf_1"]


@pytest.mark.parametrize(
    ("key", "changes"),
    [("", {}), ("k" * 201, {}), ("a", {"cost": Decimal(-1)}), ("a", {"cost": 0.1}), ("a", {"input_tokens": -1})],
)
async def test_what_cannot_be_stored_is_refused(
    tokens: TokenRepository, task: Task, key: str, changes: dict[str, Any]
) -> None:
    names: dict[str, Any] = {"provider": "local", "model": "small", "operation": "chat", "cost": Decimal(1)}
    with pytest.raises(InvalidDataError):
        await tokens.record_for_task(Lease.of(task), task, key, CallUsage(**names | changes))
    assert await all_calls(tokens) == []
