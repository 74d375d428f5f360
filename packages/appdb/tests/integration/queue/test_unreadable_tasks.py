"""A task that cannot be read costs itself alone: claim, recovery, expiry and commits go on with its neighbours."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from appdb import (
    AttemptWrite,
    Claimer,
    Completed,
    ConflictError,
    Database,
    Lease,
    LeaseLostError,
    Limit,
    NewEvent,
    NewTask,
    ScheduleRepository,
    Task,
    TaskEventType,
    TaskQueue,
    TaskState,
    UnreadableError,
)
from appdb.models import NewSchedule, TaskFilter
from appdb.size_limits import MAX_RECENT_EVENTS
from appsupport.mongo.stored_times import let_time_pass

LEASE = timedelta(seconds=30)
CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))
DAMAGES: dict[str, dict[str, Any]] = {
    "half a priority": {"priority": 0.5},
    "a priority in words": {"priority": "high"},
    "a payload of text": {"payload": "hello"},
    "an owner that is a number": {"owner_id": 7},
    "a time in words": {"created_at": "yesterday"},
    "no place in line": {"queued_at": None},
    "an attempt in words": {"attempt": "first"},
    "no most attempts": {"max_attempts": None},
    "more attempts than any": {"max_attempts": 2**40},
    "fewer attempts than none": {"attempt": -7},
    "limits of another shape": {"limits": [{"key": 5}], "limited": True},
    "limits that are none": {"limits": "none", "limited": True},
    "errors that are none": {"errors": "none"},
    "a log that is none": {"tail": "none"},
    "a log of something else": {"tail": [1, {"first": "zero"}]},
    "a length of the log in words": {"event_count": "many"},
    "children in words": {"children_open": "two"},
    "a parent that is no id": {"parent_id": {"of": "whom"}, "attached": True},
    "another actor than its lane's": {"actor": "other"},
    "a lease that is none": {"lease": "mine"},
}
WHOLE = {"fields": {"_id": "tq_1", "owner_id": "usr_a"}, "delay_ms": 0, "expires_in_ms": None, "unique_for_ms": None}
ODD_FOLLOWING: list[dict[str, Any]] = [
    {"fields": 5},
    {"fields": {"a": 1}},
    {"delay_ms": "soon"},
    {"expires_in_ms": {"a": 1}},
    {"unique_for_ms": float("nan")},
    {"delay_ms": -1e308},
    {"run_at": "yesterday"},
    {"fields": {"_id": "tq_1"}},
    {"fields": {"_id": "tq_1", "owner_id": "usr_a", "unique_key": ["a"]}},
    {"fields": {"_id": "tq_1", "owner_id": "usr_a", "run_id": {"a": 1}}},
]
SHAPES: dict[str, dict[str, Any]] = {
    "one owner": {},
    "owners in turns": {"owner_id": "usr_b"},
    "limits": {"limits": (Limit(key="provider", concurrency=100),)},
}


@pytest.fixture
def queue(database: Database) -> TaskQueue:
    return TaskQueue(database, lease=LEASE)


def new_task(**changes: Any) -> NewTask:
    return NewTask(**({"owner_id": "usr_a", "actor": "echo", "payload": {}} | changes))


async def damaged(queue: TaskQueue, database: Database, damage: str, **changes: Any) -> str:
    task = await queue.enqueue(new_task(**changes))
    await database.collection("tasks").update_one({"_id": task.id}, {"$set": DAMAGES[damage]})
    return task.id


async def stored(database: Database, task_id: Any) -> dict[str, Any]:
    found = await database.collection("tasks").find_one({"_id": task_id})
    assert found is not None
    return found


@pytest.mark.parametrize("limit", [1, 10])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("damage", DAMAGES)
async def test_claim_goes_past_unreadable_tasks(
    queue: TaskQueue, database: Database, damage: str, shape: str, limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    before = await damaged(queue, database, damage)
    good = [(await queue.enqueue(new_task(**SHAPES[shape]))).id for _ in range(3)]
    behind = await damaged(queue, database, damage, priority=3)
    taken: list[Task] = []
    while found := await queue.claim(CLAIMER, limit=limit):
        taken += found

    claimed = [task.id for task in taken]
    assert [task_id for task_id in claimed if task_id in good] == good
    for task_id in (before, behind):
        task = await stored(database, task_id)
        assert (task["state"], task_id in claimed) in (("failed", False), ("processing", True))
        if task["state"] == "failed":
            assert task["error"]["type"] == "Unreadable"
            assert any(getattr(record, "document_id", "") == task_id for record in caplog.records)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_recovery_goes_past_unreadable_tasks(queue: TaskQueue, database: Database, damage: str) -> None:
    bad = [(await queue.enqueue(new_task())).id for _ in range(2)]
    good = [(await queue.enqueue(new_task())).id for _ in range(3)]
    held = await queue.claim(CLAIMER, limit=10)
    await database.collection("tasks").update_many({"_id": {"$in": bad}}, {"$set": DAMAGES[damage]})
    await let_time_pass(database, LEASE * 2)
    recovered = [task.id for task in await queue.recover(limit=3)]
    recovered += [task.id for task in await queue.recover(limit=3)]

    assert len(held) == 5
    assert set(good) <= set(recovered)
    assert [(await stored(database, task_id))["state"] == "processing" for task_id in bad] == [False, False]
    assert await queue.recover() == []


async def test_recovery_goes_past_full_batch_of_unreadable_tasks(queue: TaskQueue, database: Database) -> None:
    ids = await queue.enqueue_many([new_task() for _ in range(30)])
    await queue.claim(CLAIMER, limit=30)
    await database.collection("tasks").update_many({"_id": {"$in": ids[:20]}}, {"$set": {"payload": "hello"}})
    await let_time_pass(database, LEASE * 2)
    recovered = await queue.recover(limit=10)

    assert {task.id for task in recovered} == set(ids[20:])


@pytest.mark.parametrize("damage", DAMAGES)
async def test_expiry_goes_past_unreadable_tasks(queue: TaskQueue, database: Database, damage: str) -> None:
    soon = timedelta(seconds=10)
    bad = await damaged(queue, database, damage, expires_in=soon)
    good = await queue.enqueue(new_task(expires_in=soon))
    await let_time_pass(database, soon * 2)
    expired = [task.id for task in await queue.expire()]

    assert good.id in expired
    assert (await stored(database, bad))["state"] == "failed"
    assert await queue.expire() == []


LIMIT_DAMAGES: dict[str, dict[str, Any]] = {
    "an override in words": {"override": "none"},
    "an override of another shape": {"override": {"concurrency": "two"}},
    "buckets that are none": {"buckets": "full"},
    "buckets of another shape": {"buckets": [{"rate": "many"}]},
    "tokens in words": {"tokens": "three", "refilled_at": None},
    "a use in words": {"used": "often"},
    "a time in words": {"buckets_at": "yesterday"},
}


@pytest.mark.parametrize("damage", LIMIT_DAMAGES)
async def test_unreadable_limit_does_not_block_tasks(queue: TaskQueue, database: Database, damage: str) -> None:
    limits = (Limit(key="provider", concurrency=2, rate=100, per=timedelta(minutes=1)),)
    await queue.enqueue(new_task(limits=limits))
    await queue.complete(Lease.of((await queue.claim(CLAIMER))[0]))
    await queue.set_limit(Limit(key="other", concurrency=3))
    await database.collection("limits").update_one({"_id": "provider"}, {"$set": LIMIT_DAMAGES[damage]})
    under = await queue.enqueue_many([new_task(limits=limits) for _ in range(3)])
    free = await queue.enqueue_many([new_task(owner_id="usr_b") for _ in range(2)])
    another = TaskQueue(database, lease=LEASE)
    taken = [task.id for _ in range(2) for task in await another.claim(CLAIMER, limit=10)]

    assert set(free) < set(taken)
    # What the tasks carry still counts.
    assert len(set(under) & set(taken)) == 2
    assert [limit.key for limit in await queue.limits()] == ["other"]


async def test_task_with_non_text_id_is_set_aside(queue: TaskQueue, database: Database) -> None:
    ids = await queue.enqueue_many([new_task() for _ in range(3)])
    row = await stored(database, ids[0])
    for odd in (7, {"a": 1}):
        await database.collection("tasks").insert_one(row | {"_id": odd, "priority": 1})
    await queue.enqueue(new_task(owner_id="usr_b"))
    taken = [task.id for _ in range(3) for task in await queue.claim(CLAIMER, limit=4)]

    assert set(ids) < set(taken)
    assert [(await stored(database, odd))["state"] for odd in (7, {"a": 1})] == ["failed", "failed"]


async def test_damaged_log_does_not_block_other_writes(queue: TaskQueue, database: Database) -> None:
    ids = await queue.enqueue_many([new_task() for _ in range(4)])
    leases = {task.id: Lease.of(task) for task in await queue.claim(CLAIMER, limit=4)}
    await database.collection("tasks").update_one({"_id": ids[0]}, {"$set": {"tail": [1, {"first": "zero"}]}})
    await database.collection("tasks").update_one({"_id": ids[1]}, {"$set": {"tail": "none"}})
    events = [NewEvent(type=TaskEventType.STARTED)] * (MAX_RECENT_EVENTS + 1)
    lost = await queue.commit([AttemptWrite(lease=leases[one], events=events, seq=0) for one in ids])
    lost |= await queue.commit([AttemptWrite(lease=leases[one], outcome=Completed(result=None)) for one in ids])

    assert lost == set()
    for one in ids:
        assert [event.seq for event in await queue.events(one)] == list(range(MAX_RECENT_EVENTS + 2))


async def test_child_ends_despite_unreadable_parent(queue: TaskQueue, database: Database) -> None:
    parent = await queue.enqueue(new_task())
    (held,) = await queue.claim(CLAIMER)
    child_id = await queue.spawn(Lease.of(held), "child", new_task())
    await database.collection("tasks").update_one({"_id": parent.id}, {"$set": {"children_open": "two"}})
    (child,) = await queue.claim(CLAIMER)
    await queue.complete(Lease.of(child))

    assert (child.id, (await stored(database, child_id))["state"]) == (child_id, "completed")


@pytest.mark.parametrize("field", ["then", "on_end"])
@pytest.mark.parametrize("following", ["none", [1, {"fields": 5}], *([WHOLE | odd] for odd in ODD_FOLLOWING)])
async def test_task_ends_despite_unreadable_follow_up(
    queue: TaskQueue, database: Database, following: Any, field: str
) -> None:
    task = await queue.enqueue(new_task(then=(new_task(),)))
    await database.collection("tasks").update_one({"_id": task.id}, {"$unset": {"then": ""}})
    await database.collection("tasks").update_one({"_id": task.id}, {"$set": {field: following}})
    (held,) = await queue.claim(CLAIMER)
    await queue.complete(Lease.of(held), {"n": 1})

    assert (await queue.get(task.id, owner_id="usr_a")).result == {"n": 1}
    assert await queue.claim(CLAIMER) == []


@pytest.mark.parametrize("damage", ["none", [7], [{"fields": 5}], [WHOLE]], ids=repr)
async def test_follow_up_begins_despite_what_continues_it(queue: TaskQueue, database: Database, damage: Any) -> None:
    task = await queue.enqueue(new_task(on_end=(new_task(queue="after", then=(new_task(),)),)))
    await database.collection("tasks").update_one({"_id": task.id}, {"$set": {"on_end.0.fields.then": damage}})
    await queue.cancel(task.id, owner_id="usr_a")
    found = await queue.claim(Claimer(worker_id="w1", queues=("after",), handlers=("echo@1",)))

    assert [one.cause_id for one in found] == [task.id]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_task_set_aside_wakes_its_follow_up(queue: TaskQueue, database: Database, damage: str) -> None:
    task_id = await damaged(queue, database, damage, on_end=(new_task(queue="after"),))
    await queue.claim(CLAIMER, limit=5)
    if (await stored(database, task_id))["state"] == "processing":
        await let_time_pass(database, LEASE * 2)
        await queue.recover()
    found = await queue.find(TaskFilter(owner_id="usr_a", queue="after"))
    ended = (await stored(database, task_id))["state"] == "failed"

    assert [one.cause_id for one in found] == ([task_id] if ended else [])


async def test_spawn_below_task_without_owner_says_so(queue: TaskQueue, database: Database) -> None:
    task = await queue.enqueue(new_task())
    (held,) = await queue.claim(CLAIMER)
    await database.collection("tasks").update_one({"_id": task.id}, {"$unset": {"owner_id": ""}})
    with pytest.raises(UnreadableError, match="owner_id"):
        await queue.spawn(Lease.of(held), "child", new_task())

    assert await database.collection("tasks").count_documents({}) == 1


async def test_step_without_value_cannot_be_read(queue: TaskQueue, database: Database) -> None:
    await queue.enqueue(new_task())
    (held,) = await queue.claim(CLAIMER)
    await queue.save_step(Lease.of(held), "outline", 5)
    await database.collection("task_steps").update_one({}, {"$unset": {"value": ""}})

    with pytest.raises(UnreadableError, match="value"):
        await queue.get_step(Lease.of(held), "outline")


@pytest.mark.parametrize("seq", [0, 1])
async def test_log_whose_length_is_true_takes_no_events(queue: TaskQueue, database: Database, seq: int) -> None:
    task = await queue.enqueue(new_task())
    (held,) = await queue.claim(CLAIMER)
    await database.collection("tasks").update_one({"_id": task.id}, {"$set": {"event_count": bool(seq)}})
    with pytest.raises(LeaseLostError):
        async with asyncio.timeout(5):
            await queue.append_events(Lease.of(held), [NewEvent(type=TaskEventType.STARTED)], seq=seq)


async def test_mended_task_set_aside_is_replayed(queue: TaskQueue, database: Database) -> None:
    task_id = await damaged(queue, database, "a payload of text")
    assert await queue.claim(CLAIMER) == []
    await database.collection("tasks").update_one({"_id": task_id}, {"$set": {"payload": {"text": "hello"}}})
    failed = await queue.get(task_id, owner_id="usr_a")
    log = [event.type for event in await queue.events(task_id)]
    again = await queue.replay(task_id, owner_id="usr_a")
    (claimed,) = await queue.claim(CLAIMER)

    assert failed.error is not None
    assert "payload" in failed.error.message
    assert log == [TaskEventType.FAILED]
    assert (claimed.id, claimed.payload) == (again.id, {"text": "hello"})


DUE: dict[str, tuple[str, str]] = {
    "promote": ("tasks", "run_at"),
    "recover": ("tasks", "lease.expires_at"),
    "tick": ("schedules", "next_at"),
}


@pytest.mark.parametrize("odd", ["yesterday", 7, None, [1], {"a": 1}], ids=repr)
@pytest.mark.parametrize("duty", DUE)
async def test_maintenance_due_ignores_invalid_times(queue: TaskQueue, database: Database, duty: str, odd: Any) -> None:
    schedules = ScheduleRepository(database)
    for name in ("a", "b"):
        await schedules.put(NewSchedule(owner_id="usr_a", name=name, cron="* * * * *", actor="echo", payload={}))
        await queue.enqueue(new_task())
    await queue.claim(CLAIMER, limit=2)
    for _ in range(2):
        await queue.enqueue(new_task(delay=timedelta(seconds=10)))
    await let_time_pass(database, timedelta(minutes=3))
    collection, field = DUE[duty]
    await database.collection(collection).update_one({field: {"$type": "date"}, **_waits(duty)}, {"$set": {field: odd}})
    due = await queue.maintenance_due(horizon=timedelta(seconds=5))
    ticked = await schedules.tick()

    assert (due.promote_in, due.recover_in, due.tick_in) == (timedelta(0), timedelta(0), timedelta(0))
    assert len(ticked) == (1 if duty == "tick" else 2)
    assert await queue.promote() >= 1
    assert len(await queue.recover()) >= 1


def _waits(duty: str) -> dict[str, Any]:
    return {"promote": {"state": "scheduled"}, "recover": {"state": "processing"}}.get(duty, {})


async def test_pruning_goes_past_invalid_parent_ids(queue: TaskQueue, database: Database) -> None:
    ids = await queue.enqueue_many([new_task() for _ in range(3)])
    for task in await queue.claim(CLAIMER, limit=3):
        await queue.complete(Lease.of(task))
    await database.collection("tasks").update_one({"_id": ids[0]}, {"$set": {"parent_id": {"of": "whom"}}})
    await let_time_pass(database, timedelta(days=2))

    assert await queue.prune(older_than=timedelta(days=1)) == 3


async def test_cancel_ends_despite_cyclic_children(queue: TaskQueue, database: Database) -> None:
    first, second = await queue.enqueue_many([new_task(), new_task()])
    tasks = database.collection("tasks")
    await tasks.update_one({"_id": first}, {"$set": {"parent_id": second}})
    await tasks.update_one({"_id": second}, {"$set": {"parent_id": first}})
    async with asyncio.timeout(10):
        await queue.cancel(first, owner_id="usr_a")

    assert [(await stored(database, one))["state"] for one in (first, second)] == ["cancelled", "cancelled"]


async def test_damaged_lease_is_lost_neighbours_are_written(queue: TaskQueue, database: Database) -> None:
    ids = await queue.enqueue_many([new_task() for _ in range(4)])
    leases = {task.id: Lease.of(task) for task in await queue.claim(CLAIMER, limit=4)}
    tasks = database.collection("tasks")
    await tasks.update_one({"_id": ids[0]}, {"$set": {"lease": "mine"}})
    await tasks.update_one({"_id": ids[1]}, {"$unset": {"state": "", "lease": ""}})
    await tasks.update_one({"_id": ids[2]}, {"$unset": {"event_count": ""}})
    event = NewEvent(type=TaskEventType.STARTED)
    lost = await queue.commit([AttemptWrite(lease=leases[one], events=[event], seq=0) for one in ids])

    assert lost == {leases[one] for one in ids[:3]}
    assert [found.type for found in await queue.events(ids[3])] == [TaskEventType.STARTED]


@pytest.mark.parametrize("odd", ["two", -1, {"a": 1}], ids=repr)
async def test_unreadable_running_task_does_not_block_limit(queue: TaskQueue, database: Database, odd: Any) -> None:
    limits = (Limit(key="provider", concurrency=3),)
    await queue.enqueue(new_task(limits=limits))
    (running,) = await queue.claim(CLAIMER)
    await database.collection("tasks").update_one({"_id": running.id}, {"$set": {"limits.0.concurrency": odd}})
    await queue.enqueue_many([new_task(limits=limits) for _ in range(3)])

    assert len(await queue.claim(CLAIMER, limit=5)) == 2


@pytest.mark.parametrize("change", [{"$unset": {"group": ""}}, {"$set": {"group": 7}}, {"$set": {"group": "\x1f"}}])
async def test_task_without_group_does_not_block_owners(
    queue: TaskQueue, database: Database, change: dict[str, Any]
) -> None:
    odd = await queue.enqueue(new_task(priority=1))
    await database.collection("tasks").update_one({"_id": odd.id}, change)
    ids = await queue.enqueue_many([new_task(owner_id=f"usr_{number}") for number in range(4)])
    taken = [task.id for _ in range(6) for task in await queue.claim(CLAIMER)]

    assert set(ids) <= set(taken)


@pytest.mark.parametrize("change", [{"$unset": {"state": ""}}, {"$set": {"state": {"a": 1}}}])
async def test_cancel_goes_past_child_without_state(
    queue: TaskQueue, database: Database, change: dict[str, Any]
) -> None:
    parent = await queue.enqueue(new_task())
    (held,) = await queue.claim(CLAIMER)
    odd, child = [await queue.spawn(Lease.of(held), key, new_task()) for key in ("a", "b")]
    await database.collection("tasks").update_one({"_id": odd}, change)
    await queue.cancel(parent.id, owner_id="usr_a")
    with pytest.raises(ConflictError, match=odd):
        await queue.cancel(odd, owner_id="usr_a")

    assert (await stored(database, child))["state"] == "cancelled"


@pytest.mark.parametrize(
    "odd",
    [{"queued_at": "x"}, {"queued_at": 7}, {"state": {"a": 1}}, {"queue": {"a": 1}}, {"state": "completed"}],
    ids=str,
)
async def test_statistics_go_past_unreadable_task(queue: TaskQueue, database: Database, odd: dict[str, Any]) -> None:
    waiting, ended = await queue.enqueue_many([new_task() for _ in range(2)])
    for _ in range(2):
        await queue.complete(Lease.of((await queue.claim(CLAIMER))[0]))
    await queue.enqueue_many([new_task() for _ in range(3)])
    change: list[dict[str, Any]] = [{"$set": odd}, {"$unset": "queue"}] if "state" in odd else [{"$set": odd}]
    await database.collection("tasks").update_one({"_id": waiting if "state" in odd else ended}, change)
    if "queued_at" in odd:
        await database.collection("tasks").update_one({"state": "queued"}, {"$set": odd})
    counted = {one.queue: one for one in await queue.stats()}["default"]

    assert counted.queued == 3
    assert counted.oldest_queued_seconds is not None
    assert counted.finished == {TaskState.COMPLETED: 2 if "queued_at" in odd else 1}


@pytest.mark.parametrize(
    "odd",
    [
        {"next_at": "2020-01-01T00:00:00"},
        {"next_at": "2020-01-01T00:00:00Z"},
        {"timeout_seconds": float("nan")},
        {"timeout_seconds": -1e300},
    ],
    ids=str,
)
async def test_schedules_fire_past_invalid_times(
    database: Database, odd: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    schedules = ScheduleRepository(database)
    for name in ("a", "b", "c"):
        await schedules.put(NewSchedule(owner_id="usr_a", name=name, cron="* * * * *", actor="echo", payload={}))
    await let_time_pass(database, timedelta(minutes=3))
    await database.collection("schedules").update_one({"name": "a"}, {"$set": odd})

    assert len(await schedules.tick()) == 2
    assert "a schedule does not fire" in caplog.text
