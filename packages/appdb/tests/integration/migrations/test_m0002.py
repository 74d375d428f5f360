"""A database of the first release is brought along: its tasks are claimed, and outgrown indexes are gone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from appdb import Claimer, Database, Lease, TaskQueue, TaskState
from appdb._queries.config import CONTRACT_ID
from appdb.migrations._module import known_migrations
from appdb.migrations.contract import CONTRACT_VERSION

OUTGROWN = {
    "tasks_claim": [("queue", 1), ("handler", 1), ("priority", -1), ("queued_at", 1), ("_id", 1)],
    "tasks_leases": [("lease.expires_at", 1)],
    "tasks_due": [("run_at", 1)],
}


def task_of_the_first_release(now: datetime, **changes: Any) -> dict[str, Any]:
    """Return a queued task as the first release stores it."""
    return {
        "owner_id": "usr_a",
        "actor": "echo",
        "actor_version": 1,
        "handler": "echo@1",
        "queue": "default",
        "payload": {"text": "hello"},
        "priority": 0,
        "state": "queued",
        "attempt": 0,
        "max_attempts": 3,
        "timeout_seconds": None,
        "lease": None,
        "progress": None,
        "result": None,
        "error": None,
        "errors": [],
        "event_count": 0,
        "has_content": False,
        "started_at": None,
        "finished_at": None,
        "created_at": now,
        "updated_at": now,
        "queued_at": now,
        "run_at": now,
    } | changes


async def first_release(database: Database) -> None:
    """Leave the database as the first release did, with one task that waits and one that is done."""
    tasks = database.collection("tasks")
    for name, keys in OUTGROWN.items():
        await tasks.create_index(keys, name=name)
    now = await database.server_time()
    waiting = task_of_the_first_release(now, _id="tq_1")
    done = task_of_the_first_release(now, _id="tq_2", state="completed", attempt=1, event_count=1, finished_at=now)
    await tasks.insert_many([waiting, done])
    event = {"_id": "tq_2:0", "task_id": "tq_2", "seq": 0, "type": "completed", "attempt": 1, "at": now, "data": {}}
    await database.collection("task_events").insert_one(event)
    first = known_migrations()[0]
    applied = {"_id": first.id, "description": first.description, "checksum": first.checksum, "applied_at": now}
    await database.collection("migrations").insert_one(applied)
    await database.collection("config").insert_one({"_id": CONTRACT_ID, "version": 1})


async def test_first_releases_tasks_are_claimed_and_read(mongo_uri: str, database_name: str) -> None:
    database = Database(mongo_uri, database_name)
    try:
        await first_release(database)
        ran = [migration.id for migration in await database.migrate()]
        queue = TaskQueue(database)
        (task,) = await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
        await queue.complete(Lease.of(task), {"ok": True})

        assert ran == [migration.id for migration in known_migrations()[1:]]
        assert await database.contract_version() == CONTRACT_VERSION
        assert (await queue.get("tq_1", owner_id="usr_a")).state is TaskState.COMPLETED
        assert [event.seq for event in await queue.events("tq_2")] == [0]
        known = await database.collection("tasks").index_information()
        assert not OUTGROWN.keys() & known.keys()
        assert {"tasks_lane", "tasks_group", "tasks_held", "tasks_scheduled"} <= known.keys()
    finally:
        await database.close()


async def test_first_releases_enqueue_during_upgrade_is_claimed(database: Database) -> None:
    queue = TaskQueue(database)
    old = task_of_the_first_release(await database.server_time(), _id="tq_old")
    await database.collection("tasks").insert_one(old)
    before = await queue.maintenance_due(horizon=timedelta(seconds=1))
    adopted = await queue.fill_claim_keys()
    after = await queue.maintenance_due(horizon=timedelta(seconds=1))

    assert (before.fill_claim_keys, adopted, after.fill_claim_keys) == (True, 1, False)
    assert len(await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))) == 1
