"""Stored limits: kept for as long as they matter, in a form that hosts of the release before share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from appdb import Claimer, Database, Limit, NewTask, TaskQueue
from appsupport.mongo.stored_times import let_time_pass

KEY = "provider:x"
DAY = timedelta(days=1)
ME = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))


async def add(database: Database, count: int, *limits: Limit) -> None:
    await TaskQueue(database).enqueue_many([NewTask(owner_id="usr_a", actor="echo", payload={}, limits=limits)] * count)


async def claimed(database: Database, limit: int = 9) -> int:
    return len(await TaskQueue(database).claim(ME, limit=limit))


async def claim_as_release_0_3_does(database: Database, limit: Limit, count: int) -> None:
    """Write to a limit what a claim of release 0.3.0 writes, but for the tasks."""
    rate = float(limit.rate or 0)
    passed = {"$subtract": ["$$NOW", {"$ifNull": ["$refilled_at", "$$NOW"]}]}
    speed = rate / (limit.per / timedelta(milliseconds=1))
    grown = {"$add": [{"$ifNull": ["$tokens", rate]}, {"$multiply": [passed, speed]}]}
    changes: dict[str, Any] = {
        "key": limit.key,
        "tokens": {"$max": [0, {"$min": [rate, grown]}]},
        "refilled_at": "$$NOW",
        "used": {"$add": [{"$ifNull": ["$used", 0]}, 1]},
    }
    limits = database.collection("limits")
    await limits.update_one({"_id": limit.key}, [{"$set": changes}], upsert=True)
    await limits.update_one({"_id": limit.key}, {"$inc": {"tokens": -count}})


async def tokens_left(database: Database, rate: float) -> float:
    """Return what release 0.3.0 reads as what is left, at the moment of the last claim."""
    row = await database.collection("limits").find_one({"_id": KEY})
    assert row is not None
    return min(float(row["tokens"]), rate)


async def test_limit_is_forgotten_day_after_refill(database: Database) -> None:
    await add(database, 3, Limit(key=KEY, rate=1, per=3 * DAY), Limit(key=KEY, rate=2))
    assert await claimed(database) == 1
    remembered = []
    for _ in range(5):
        await let_time_pass(database, DAY)
        await TaskQueue(database).prune(older_than=DAY)
        remembered.append(await database.collection("limits").count_documents({}))

    assert remembered == [1, 1, 1, 0, 0]


async def test_rateless_limit_is_forgotten_set_one_kept(database: Database) -> None:
    await add(database, 1, Limit(key=KEY, concurrency=1), Limit(key="set", concurrency=1))
    await TaskQueue(database).set_limit(Limit(key="set", concurrency=2))
    assert await claimed(database) == 1
    await let_time_pass(database, 2 * DAY)
    await TaskQueue(database).prune(older_than=DAY)

    assert [row["_id"] async for row in database.collection("limits").find()] == ["set"]


async def test_rate_spent_by_previous_release_counts(database: Database) -> None:
    limit = Limit(key=KEY, rate=5, per=DAY)
    await claim_as_release_0_3_does(database, limit, 2)
    await add(database, 9, limit)
    assert await claimed(database, limit=1) == 1
    await claim_as_release_0_3_does(database, limit, 1)

    assert await claimed(database) == 1


async def test_previous_release_sees_spent_rate(database: Database) -> None:
    limit = Limit(key=KEY, rate=5, per=DAY)
    await add(database, 9, limit)
    assert await claimed(database, limit=2) == 2

    assert await tokens_left(database, 5) == 3


async def test_refilled_rates_are_not_kept(database: Database) -> None:
    for seconds in range(1, 8):
        await add(database, 1, Limit(key=KEY, rate=1, per=timedelta(seconds=seconds)))
        assert await claimed(database) == 1
        await let_time_pass(database, timedelta(minutes=1))
    row = await database.collection("limits").find_one({"_id": KEY})

    assert row is not None
    assert len(row["buckets"]) == 1
