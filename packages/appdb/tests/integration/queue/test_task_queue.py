"""TaskQueue against a real server: claims, fences, logs, retries, cancels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import pytest

from appdb import (
    Claimer,
    ConflictError,
    Database,
    DatabaseUnavailableError,
    InvalidDataError,
    Lease,
    LeaseLostError,
    NewEvent,
    NewTask,
    NotFoundError,
    Progress,
    Task,
    TaskEventType,
    TaskQueue,
    TaskState,
    TooLargeError,
)

OWNER = "usr_a"
T = TypeVar("T")
HOSTILE_VALUES = ["$lease.token", "$$NOW", "a.b", "", "😀", "\x00\x01", "{$gt: ''}"]


@pytest.fixture
def queue(database: Database) -> TaskQueue:
    return TaskQueue(database, lease=timedelta(milliseconds=400))


def new_task(**changes: Any) -> NewTask:
    return NewTask(**({"owner_id": OWNER, "actor": "echo", "payload": {"text": "hello"}} | changes))


def claimer(name: str = "w1", *handlers: str) -> Claimer:
    return Claimer(worker_id=name, queues=("default",), handlers=handlers or ("echo@1",))


async def claimed(queue: TaskQueue, **changes: Any) -> tuple[Task, Lease]:
    await queue.enqueue(new_task(**changes))
    (task,) = await queue.claim(claimer())
    return task, Lease.of(task)


def progress(fraction: float, message: str = "") -> NewEvent:
    return NewEvent(type=TaskEventType.PROGRESS, data={"fraction": fraction, "message": message})


async def repeated(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat *call* once when its outcome is unknown, as the contract allows."""
    try:
        return await call()
    except DatabaseUnavailableError:
        return await call()


async def assert_log(queue: TaskQueue, task_id: str, *types: TaskEventType) -> None:
    events = await queue.events(task_id)
    assert [event.seq for event in events] == list(range(len(events)))
    assert [event.type for event in events] == list(types)


async def test_task_goes_from_enqueue_to_completed(queue: TaskQueue) -> None:
    task, lease = await claimed(queue)
    await queue.append_events(lease, [NewEvent(type=TaskEventType.STARTED), progress(0.5)], seq=0)
    await queue.complete(lease, {"answer": 42})
    done = await queue.get(task.id, owner_id=OWNER)

    assert (done.state, done.result, done.attempt) == (TaskState.COMPLETED, {"answer": 42}, 1)
    assert done.lease is None
    assert done.progress == Progress(fraction=0.5)
    assert done.last_seq == 2
    await assert_log(queue, task.id, TaskEventType.STARTED, TaskEventType.PROGRESS, TaskEventType.COMPLETED)


async def test_payload_over_256_kib_is_refused(queue: TaskQueue) -> None:
    with pytest.raises(TooLargeError, match="payload"):
        await queue.enqueue(new_task(payload={"text": "x" * 256 * 1024}))

    assert await queue.page(owner_id=OWNER) == []


async def test_lone_surrogate_is_refused(queue: TaskQueue) -> None:
    with pytest.raises(InvalidDataError, match="payload"):
        await queue.enqueue(new_task(payload={"text": "\ud800"}))

    assert await queue.page(owner_id=OWNER) == []


@pytest.mark.parametrize("value", HOSTILE_VALUES)
async def test_user_text_stays_text(queue: TaskQueue, value: str) -> None:
    payload = {"text": value, "nested": {"$gt": value, "a.b": [value]}}
    task, lease = await claimed(queue, payload=payload)
    await queue.append_events(lease, [progress(0, value)], seq=0)
    await queue.fail(lease, "Broken", value, retry_in=None)
    failed = await queue.get(task.id, owner_id=OWNER)

    assert failed.payload == payload
    assert failed.progress is not None
    assert failed.progress.message == value
    assert failed.error is not None
    assert failed.error.message == value


async def test_unique_key_returns_first_task(queue: TaskQueue) -> None:
    tasks = await asyncio.gather(*(queue.enqueue(new_task(unique_key="k")) for _ in range(20)))

    assert len({task.id for task in tasks}) == 1
    assert len(await queue.page(owner_id=OWNER)) == 1


async def test_unique_key_refused_for_another_payload(queue: TaskQueue) -> None:
    await queue.enqueue(new_task(unique_key="k"))
    with pytest.raises(ConflictError, match="another payload"):
        await queue.enqueue(new_task(unique_key="k", payload={"text": "other"}))


async def test_unique_key_belongs_to_owner(queue: TaskQueue) -> None:
    first = await queue.enqueue(new_task(unique_key="k"))
    second = await queue.enqueue(new_task(unique_key="k", owner_id="usr_b"))

    assert first.id != second.id


async def test_enqueue_in_failed_transaction_leaves_no_task(queue: TaskQueue, database: Database) -> None:
    class ChangedMyMindError(Exception):
        pass

    async def body(session: Any) -> None:
        await queue.enqueue(new_task(), session=session)
        raise ChangedMyMindError

    with pytest.raises(ChangedMyMindError):
        await database.transaction(body)

    assert await queue.page(owner_id=OWNER) == []


@pytest.mark.parametrize("unique_for", ["kept", "live", timedelta(hours=1)])
async def test_taken_key_in_transaction_returns_first_task(
    queue: TaskQueue, database: Database, unique_for: Any
) -> None:
    task = new_task(unique_key="k", unique_for=unique_for)
    first = await queue.enqueue(task)

    async def body(session: Any) -> list[str]:
        await database.collection("orders").insert_one({"_id": "order"}, session=session)
        return [(await queue.enqueue(task, session=session)).id for _ in range(2)]

    assert await database.transaction(body) == [first.id, first.id]
    assert await database.collection("orders").count_documents({}) == 1


@pytest.mark.parametrize("unique_for", ["live", timedelta(milliseconds=1)])
async def test_freed_key_in_transaction_makes_new_task(queue: TaskQueue, database: Database, unique_for: Any) -> None:
    first = await queue.enqueue(new_task(unique_key="k", unique_for=unique_for))
    await queue.cancel(first.id, owner_id=OWNER)
    task = new_task(unique_key="k", unique_for="live")

    async def body(session: Any) -> list[str]:
        return [(await queue.enqueue(task, session=session)).id for _ in range(2)]

    second, again = await database.transaction(body)

    assert second == again != first.id
    assert (await queue.get(first.id, owner_id=OWNER)).unique_key is None


async def test_racing_transactions_for_key_share_one_task(queue: TaskQueue, database: Database) -> None:
    async def body(session: Any) -> str:
        return (await queue.enqueue(new_task(unique_key="k"), session=session)).id

    racing = [database.transaction(body) for _ in range(8)]
    outside = [queue.enqueue(new_task(unique_key="k")) for _ in range(4)]
    within, beside = await asyncio.gather(asyncio.gather(*racing), asyncio.gather(*outside))

    assert {*within, *(task.id for task in beside)} == {task.id for task in await queue.page(owner_id=OWNER)}
    assert len(set(within)) == 1


async def test_key_of_other_request_in_transaction_conflicts(queue: TaskQueue, database: Database) -> None:
    await queue.enqueue(new_task(unique_key="k"))

    async def body(session: Any) -> None:
        await queue.enqueue(new_task(unique_key="k", payload={"text": "other"}), session=session)

    with pytest.raises(ConflictError, match="another payload"):
        await database.transaction(body)


@pytest.mark.parametrize("reached", [1, 2])
async def test_second_cancel_reaches_survivors_of_crash(queue: TaskQueue, database: Database, reached: int) -> None:
    root, lease = await claimed(queue)
    family = [root.id]
    for generation in range(3):
        family.append(await queue.spawn(lease, f"child-{generation}", new_task()))
        (held,) = await queue.claim(claimer())
        lease = Lease.of(held)
    # What a host has written that was killed after it had cancelled so many.
    ended = {"$set": {"state": TaskState.CANCELLED, "lease": None}}
    await database.collection("tasks").update_many({"_id": {"$in": family[:reached]}}, ended)
    await queue.cancel(root.id, owner_id=OWNER)

    assert {(await queue.get(one, owner_id=OWNER)).state for one in family} == {TaskState.CANCELLED}


async def test_claim_order_is_priority_then_age(queue: TaskQueue) -> None:
    for name, priority in [("a", 0), ("b", 5), ("c", 0), ("d", 5)]:
        await queue.enqueue(new_task(payload={"name": name}, priority=priority))
    one_by_one = [(await queue.claim(claimer()))[0] for _ in range(2)]
    together = await queue.claim(claimer(), limit=2)

    assert [task.payload["name"] for task in [*one_by_one, *together]] == ["b", "d", "a", "c"]


async def test_claimer_gets_only_declared_tasks(queue: TaskQueue) -> None:
    await queue.enqueue(new_task(actor_version=2))
    await queue.enqueue(new_task(queue="other"))

    assert await queue.claim(claimer()) == []
    assert await queue.claim(claimer(), limit=10) == []
    assert len(await queue.claim(claimer("w1", "echo@2"))) == 1


async def test_concurrent_claimers_never_share_task(queue: TaskQueue, database: Database) -> None:
    await asyncio.gather(*(queue.enqueue(new_task(payload={"n": n})) for n in range(200)))

    async def drain(name: str, limit: int) -> list[str]:
        mine = TaskQueue(database)
        ids: list[str] = []
        while tasks := await mine.claim(claimer(name), limit=limit):
            ids += [task.id for task in tasks]
        return ids

    # A claimer may see candidates that others take; it must still end only when nothing is left for anybody.
    lists = await asyncio.gather(*(drain(f"w{n}", 1 if n % 2 else 7) for n in range(8)))
    rest = await drain("last", 1)
    ids = [task_id for part in [*lists, rest] for task_id in part]

    assert len(ids) == len(set(ids)) == 200


async def test_lost_lease_cannot_write(queue: TaskQueue) -> None:
    task, old = await claimed(queue)
    await asyncio.sleep(0.5)
    assert [found.id for found in await queue.recover()] == [task.id]
    (again,) = await queue.claim(claimer("w2"))

    with pytest.raises(LeaseLostError):
        await queue.append_events(old, [NewEvent(type=TaskEventType.CHUNK)], seq=again.event_count)
    with pytest.raises(LeaseLostError):
        await queue.complete(old, {"by": "zombie"})
    with pytest.raises(LeaseLostError):
        await queue.fail(old, "Late", "late", retry_in=None)
    with pytest.raises(LeaseLostError):
        await queue.release(old)
    assert await queue.renew([old]) == {old}
    held = await queue.get(task.id, owner_id=OWNER)
    assert held.lease is not None
    assert (held.state, held.lease.worker_id, held.result) == (TaskState.PROCESSING, "w2", None)
    await assert_log(queue, task.id, TaskEventType.RETRYING)


async def test_renewed_lease_is_not_recovered(queue: TaskQueue) -> None:
    _, lease = await claimed(queue)
    for _ in range(4):
        await asyncio.sleep(0.2)
        assert await queue.renew([lease]) == set()

    assert await queue.recover() == []


async def test_concurrent_recoveries_recover_task_once(queue: TaskQueue, database: Database) -> None:
    task, _ = await claimed(queue)
    await asyncio.sleep(0.5)
    found = await asyncio.gather(*(TaskQueue(database).recover() for _ in range(5)))

    assert [task.id] == [found.id for part in found for found in part]
    await assert_log(queue, task.id, TaskEventType.RETRYING)


async def test_task_killing_workers_fails_after_attempts(queue: TaskQueue) -> None:
    task = await queue.enqueue(new_task(max_attempts=2))
    for _ in range(2):
        assert len(await queue.claim(claimer())) == 1
        await asyncio.sleep(0.5)
        await queue.recover()
    dead = await queue.get(task.id, owner_id=OWNER)

    assert (dead.state, dead.attempt, len(dead.errors)) == (TaskState.FAILED, 2, 2)
    await assert_log(queue, task.id, TaskEventType.RETRYING, TaskEventType.FAILED)


async def test_failed_attempt_runs_again_after_delay(queue: TaskQueue) -> None:
    task, lease = await claimed(queue)
    await queue.fail(lease, "Broken", "not now", retry_in=timedelta(milliseconds=300))
    assert await queue.promote() == 0
    assert await queue.claim(claimer()) == []
    await asyncio.sleep(0.4)

    assert await queue.promote() == 1
    (again,) = await queue.claim(claimer())
    assert (again.id, again.attempt) == (task.id, 2)


async def test_release_does_not_count_attempt(queue: TaskQueue) -> None:
    task, lease = await claimed(queue)
    await queue.release(lease)
    (again,) = await queue.claim(claimer())

    assert (again.id, again.attempt) == (task.id, 1)


async def test_repeated_write_is_applied_once(queue: TaskQueue) -> None:
    task, lease = await claimed(queue)
    for _ in range(3):
        await queue.append_events(lease, [NewEvent(type=TaskEventType.CHUNK, data={"n": 1})], seq=0)
    for _ in range(3):
        await queue.complete(lease, {"n": 1})

    await assert_log(queue, task.id, TaskEventType.CHUNK, TaskEventType.COMPLETED)


async def test_concurrent_log_writers_leave_no_gap(queue: TaskQueue) -> None:
    task, lease = await claimed(queue)

    async def write(seq: int) -> bool:
        try:
            await queue.append_events(lease, [NewEvent(type=TaskEventType.CHUNK, data={"seq": seq})], seq=seq)
        except LeaseLostError:
            return False
        return True

    for seq in range(10):
        assert any(await asyncio.gather(write(seq), write(seq), write(seq + 1)))
        if (await queue.get(task.id, owner_id=OWNER)).event_count < seq + 1:
            pytest.fail(f"event {seq} is missing")
    events = await queue.events(task.id)
    assert [event.seq for event in events] == list(range(len(events)))


@pytest.mark.parametrize("running", [True, False])
async def test_cancel_is_final(queue: TaskQueue, running: bool) -> None:
    task = await queue.enqueue(new_task())
    leases = [Lease.of(found) for found in await queue.claim(claimer())] if running else []
    cancelled = await queue.cancel(task.id, owner_id=OWNER)
    again = await queue.cancel(task.id, owner_id=OWNER)

    assert cancelled.state is again.state is TaskState.CANCELLED
    for lease in leases:
        with pytest.raises(LeaseLostError):
            await queue.complete(lease)
    assert await queue.claim(claimer()) == []
    await assert_log(queue, task.id, TaskEventType.CANCELLED)


async def test_concurrent_cancel_and_complete_have_one_winner(queue: TaskQueue) -> None:
    for _ in range(20):
        task, lease = await claimed(queue)
        outcomes = await asyncio.gather(
            queue.complete(lease), queue.cancel(task.id, owner_id=OWNER), return_exceptions=True
        )
        final = await queue.get(task.id, owner_id=OWNER)

        assert sum(isinstance(outcome, LeaseLostError | ConflictError) for outcome in outcomes) == 1
        assert final.state in (TaskState.COMPLETED, TaskState.CANCELLED)
        await assert_log(queue, task.id, TaskEventType(final.state.value))


async def test_completed_task_cannot_be_cancelled(queue: TaskQueue) -> None:
    task, lease = await claimed(queue)
    await queue.complete(lease)
    with pytest.raises(ConflictError, match="already completed"):
        await queue.cancel(task.id, owner_id=OWNER)


async def test_another_owners_task_looks_missing(queue: TaskQueue) -> None:
    task = await queue.enqueue(new_task())
    for task_id in (task.id, "tq_missing"):
        with pytest.raises(NotFoundError):
            await queue.get(task_id, owner_id="usr_b")
        with pytest.raises(NotFoundError):
            await queue.cancel(task_id, owner_id="usr_b")

    assert await queue.page(owner_id="usr_b") == []


async def test_pages_hold_every_task_once_newest_first(queue: TaskQueue) -> None:
    made = [(await queue.enqueue(new_task(payload={"n": n}))).id for n in range(7)]
    seen: list[str] = []
    while page := await queue.page(owner_id=OWNER, limit=3, before=seen[-1] if seen else None):
        seen += [task.id for task in page]

    assert seen == made[::-1]


async def test_too_large_result_is_refused_and_lease_stays(queue: TaskQueue) -> None:
    _, lease = await claimed(queue)
    with pytest.raises(TooLargeError, match="result"):
        await queue.complete(lease, {"data": "x" * 300_000})

    assert await queue.renew([lease]) == set()


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        ("update", {"closeConnection": True}),
        ("update", {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}),
        ("findAndModify", {"closeConnection": True}),
        ("update", {"errorCode": 91}),
        ("update", {"errorCode": 11602}),
    ],
)
async def test_network_failure_changes_no_outcome(
    queue: TaskQueue, database: Database, command: str, failure: dict[str, Any]
) -> None:
    added = [await queue.enqueue(new_task()) for _ in range(3)]
    data = {"failCommands": [command], **failure}
    point = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data}
    await database.raw.client.admin.command(point)
    tasks = await repeated(partial(queue.claim, claimer(), limit=3))
    for task in tasks:
        lease = Lease.of(task)
        await repeated(partial(queue.append_events, lease, [NewEvent(type=TaskEventType.STARTED)], seq=0))
        await repeated(partial(queue.complete, lease, {"ok": True}))

    assert [task.id for task in tasks] == [task.id for task in added]
    for task in added:
        assert (await queue.get(task.id, owner_id=OWNER)).attempt == 1
        await assert_log(queue, task.id, TaskEventType.STARTED, TaskEventType.COMPLETED)
