"""Writes that no majority has confirmed: they may be rolled back, so nothing that depends on them is done or told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import appdb
from appdb import Claimer, Database, DatabaseUnavailableError, Lease, NewEvent, NewTask, TaskEventType, TaskQueue
from appdb.host import NO_RETRIES
from appdb.models import UsedKeyword
from appdb.size_limits import MAX_RECENT_EVENTS
from appsupport.mongo.fail_points import fail_point

APP = "unconfirmed-writes"
OWNER = "usr_a"
NO_MAJORITY = {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
TASK = NewTask(owner_id=OWNER, actor="echo", payload={})
EVENTS = MAX_RECENT_EVENTS + 10


@pytest.fixture
async def cut_off(mongo_uri: str, database: Database) -> AsyncIterator[Database]:
    """The same database for a host whose primary can be cut off from the majority."""
    async with Database(mongo_uri, database.name, app_name=APP, retry_timeout=NO_RETRIES) as made:
        yield made


async def test_log_stays_in_task_until_copy_is_durable(database: Database, cut_off: Database) -> None:
    queue = TaskQueue(cut_off)
    await queue.enqueue(TASK)
    (task,) = await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    events = [NewEvent(type=TaskEventType.CHUNK, data={"chunks": [str(n)]}) for n in range(EVENTS)]
    async with fail_point(database, APP, ["insert"], **NO_MAJORITY):
        with pytest.raises(DatabaseUnavailableError):
            await queue.append_events(Lease.of(task), events, seq=0)
    # What a rollback does to the copy.
    rolled_back = await database.collection("task_events").delete_many({"task_id": task.id})
    after_rollback = [event.seq for event in await queue.events(task.id)]
    await queue.append_events(Lease.of(task), events, seq=0)

    assert rolled_back.deleted_count == EVENTS
    assert after_rollback == list(range(EVENTS))
    assert [event.data["chunks"] for event in await queue.events(task.id)] == [[str(n)] for n in range(EVENTS)]
    assert await database.collection("task_events").count_documents({"task_id": task.id}) == EVENTS


async def test_repeated_call_confirms_earlier_copy(database: Database, cut_off: Database) -> None:
    queue = TaskQueue(cut_off)
    await queue.enqueue(TASK)
    (task,) = await queue.claim(Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",)))
    events = [NewEvent(type=TaskEventType.STARTED)] * EVENTS
    async with fail_point(database, APP, ["insert"], **NO_MAJORITY):
        for _ in range(2):
            # The second time every event is there already, and still no majority has them.
            with pytest.raises(DatabaseUnavailableError):
                await queue.append_events(Lease.of(task), events, seq=0)
    assert await in_task(database, task.id) == EVENTS
    await queue.append_events(Lease.of(task), events, seq=0)

    assert await in_task(database, task.id) == 0
    assert len(await queue.events(task.id)) == EVENTS


async def in_task(database: Database, task_id: str) -> int:
    """Return how many events the task document holds itself."""
    task = await database.collection("tasks").find_one({"_id": task_id})
    assert task is not None
    return sum(len(batch["events"]) for batch in task["tail"])


BULKS: dict[str, tuple[str, Callable[[Database], Awaitable[Any]]]] = {
    "enqueue_many": ("insert", lambda database: TaskQueue(database).enqueue_many([TASK] * 3)),
    "use_options": (
        "update",
        lambda database: database.use_options(
            ["warm"], owner_id=OWNER, template_id="tpl_1", step_id="style", module="select", use_id="use_1"
        ),
    ),
    "use_keywords": (
        "update",
        lambda database: database.use_keywords(
            [UsedKeyword(keyword="calm")],
            owner_id=OWNER,
            template_id="tpl_1",
            half_life=timedelta(days=1),
            use_id="use_1",
        ),
    ),
}


@pytest.mark.parametrize("name", BULKS)
async def test_bulk_write_without_majority_is_unknown(database: Database, cut_off: Database, name: str) -> None:
    command, call = BULKS[name]
    async with fail_point(database, APP, [command], **NO_MAJORITY):
        with pytest.raises(DatabaseUnavailableError):
            await call(cut_off)


def test_unconfirmed_refusals_are_judged_in_one_place() -> None:
    package = Path(appdb.__file__).parent
    asking = [path for path in package.rglob("*.py") if "writeErrors" in path.read_text("utf-8")]

    assert [path.parent.name for path in asking] == ["_driver"]
