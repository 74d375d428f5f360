"""A server that fails a write: what the caller sees, and how often the write was applied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from pymongo.read_concern import ReadConcern

from appdb import (
    AppDbError,
    Claimer,
    Database,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    Lease,
    NewEvent,
    NewTask,
    Task,
    TaskEventType,
    TaskQueue,
    uuid7_str,
)
from appdb._driver import Session
from appdb.host import NO_RETRIES

APP = "appfaults/1"
OWNER = "usr_a"
LIMIT = timedelta(seconds=2)
QUICK = "heartbeatFrequencyMS=500"
"""How soon a driver finds again a server that said it shuts down, and did not."""
RETRY_TIMEOUT = timedelta(seconds=10)
CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))
TASK = NewTask(owner_id=OWNER, actor="echo", payload={})
CHILD = NewTask(owner_id=OWNER, actor="other", payload={})

ONCE, TWICE, ALWAYS = {"times": 1}, {"times": 2}, "alwaysOn"
EFFECTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "closed once": (ONCE, {"closeConnection": True}),
    "closed twice": (TWICE, {"closeConnection": True}),
    "closed always": (ALWAYS, {"closeConnection": True}),
    "NotWritablePrimary": (ONCE, {"errorCode": 10107}),
    "ShutdownInProgress": (ONCE, {"errorCode": 91}),
    "InterruptedAtShutdown": (ONCE, {"errorCode": 11600}),
    "WriteConflict": (ONCE, {"errorCode": 112}),
    "no majority": (ONCE, {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}),
    "no majority, going away": (
        ONCE,
        {"writeConcernError": {"code": 91, "errmsg": "shutting down"}, "errorLabels": ["RetryableWriteError"]},
    ),
    "silence": (ONCE, {"blockConnection": True, "blockTimeMS": 3_000}),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A queue with one task that is held and one that is not, and the look at it that no fault disturbs."""

    queue: TaskQueue
    database: Database
    undisturbed: Database
    held: Task

    @property
    def lease(self) -> Lease:
        return Lease.of(self.held)

    async def count(self, collection: str, match: dict[str, Any]) -> int:
        return await self.undisturbed.collection(collection).count_documents(match)

    async def events(self, kind: TaskEventType) -> int:
        log = await TaskQueue(self.undisturbed).events(self.held.id)
        return sum(event.type is kind for event in log)


class Write:
    """A write through appdb, and how often it was applied."""

    command: str

    async def call(self, subject: Subject) -> None:
        raise NotImplementedError

    async def applied(self, subject: Subject) -> int:
        raise NotImplementedError


class Enqueue(Write):
    command = "insert"

    async def call(self, subject: Subject) -> None:
        await subject.queue.enqueue(TASK)

    async def applied(self, subject: Subject) -> int:
        return await subject.count("tasks", {}) - 2


class EnqueueLater(Write):
    command = "findAndModify"

    async def call(self, subject: Subject) -> None:
        await subject.queue.enqueue(replace(TASK, delay=timedelta(hours=1)))

    async def applied(self, subject: Subject) -> int:
        return await subject.count("tasks", {}) - 2


class Claim(Write):
    command = "findAndModify"

    async def call(self, subject: Subject) -> None:
        await subject.queue.claim(CLAIMER)

    async def applied(self, subject: Subject) -> int:
        return await subject.count("tasks", {"state": "processing"}) - 1


class EnqueueMany(Write):
    command = "insert"

    async def call(self, subject: Subject) -> None:
        await subject.queue.enqueue_many([TASK])

    async def applied(self, subject: Subject) -> int:
        return await subject.count("tasks", {}) - 2


class Record(Write):
    command = "update"

    async def call(self, subject: Subject) -> None:
        await subject.queue.append_events(subject.lease, [NewEvent(type=TaskEventType.STARTED)], seq=0)

    async def applied(self, subject: Subject) -> int:
        return await subject.events(TaskEventType.STARTED)


class Complete(Write):
    command = "update"

    async def call(self, subject: Subject) -> None:
        await subject.queue.complete(subject.lease)

    async def applied(self, subject: Subject) -> int:
        return await subject.events(TaskEventType.COMPLETED)


class Transaction(Write):
    command = "commitTransaction"

    async def call(self, subject: Subject) -> None:
        async def body(session: Session) -> None:
            note = {"_id": uuid7_str(), "about": "transaction"}
            await subject.database.collection("notes").insert_one(note, session=session)

        await subject.database.transaction(body)

    async def applied(self, subject: Subject) -> int:
        return await subject.count("notes", {"about": "transaction"})


class Spawn(Write):
    command = "commitTransaction"

    async def call(self, subject: Subject) -> None:
        await subject.queue.spawn(subject.lease, "a", CHILD)

    async def applied(self, subject: Subject) -> int:
        return await subject.count("tasks", {"parent_id": subject.held.id})


WRITES = {
    kind.__name__: kind() for kind in (Enqueue, EnqueueLater, Claim, EnqueueMany, Record, Complete, Transaction, Spawn)
}
DONE, UNKNOWN, REFUSED = None, DatabaseUnavailableError, DatabaseRefusedError
Expected = tuple[set[type[AppDbError] | None], set[int]]
TABLE: dict[str, Expected] = {
    "closed once": ({DONE}, {1}),
    "closed twice": ({DONE}, {1}),
    "closed always": ({UNKNOWN}, {0}),
    "NotWritablePrimary": ({DONE}, {1}),
    "ShutdownInProgress": ({DONE}, {1}),
    "InterruptedAtShutdown": ({DONE}, {1}),
    "WriteConflict": ({REFUSED}, {0}),
    "no majority": ({UNKNOWN}, {1}),
    "no majority, going away": ({DONE, UNKNOWN}, {1}),
    "silence": ({UNKNOWN}, {0, 1}),
}
"""What one call meets that only the driver repeats, within the operation timeout: outcome and applications."""
COMMITS: dict[str, Expected] = {
    # The whole transaction runs again, or its commit is told again.
    "WriteConflict": ({DONE}, {1}),
    "no majority": ({DONE}, {1}),
}
LOOKS: dict[str, Expected] = {
    # What an attempt writes is looked at after a failure: a majority has it by then, or not yet.
    "no majority": ({DONE, UNKNOWN}, {1}),
}
PASSING = sorted(TABLE.keys() - {"closed always", "WriteConflict"})
"""What a repeated call does not meet again."""


def expected(write: Write, effect: str) -> Expected:
    special = {"commitTransaction": COMMITS, "update": LOOKS}.get(write.command, {})
    return special.get(effect, TABLE[effect])


CASES = [(name, effect) for name in WRITES for effect in EFFECTS]
MAY_BE_REPEATED = [(name, effect) for name in WRITES if name not in {"Claim", "Transaction"} for effect in PASSING]


@asynccontextmanager
async def failing(database: Database, command: str, effect: str) -> AsyncIterator[None]:
    mode, data = EFFECTS[effect]
    admin = database.raw.client.admin
    point = {"failCommands": [command], "appName": APP, **data}
    await admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": point})
    try:
        yield
    finally:
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@asynccontextmanager
async def subject_on(undisturbed: Database, uri: str, retry_timeout: timedelta) -> AsyncIterator[Subject]:
    options: dict[str, Any] = {"app_name": APP, "operation_timeout": LIMIT, "retry_timeout": retry_timeout}
    async with Database(f"{uri}&{QUICK}", undisturbed.name, **options) as database:
        queue = TaskQueue(database)
        await undisturbed.collection("notes").insert_one({"about": "the collection"})
        for _ in range(2):
            await queue.enqueue(TASK)
        (held,) = await queue.claim(CLAIMER)
        yield Subject(queue, database, undisturbed, held)


async def outcome_of(call: Callable[[], Awaitable[None]]) -> type[AppDbError] | None:
    try:
        await call()
    except AppDbError as exc:
        return type(exc)
    return None


async def until_served(database: Database) -> None:
    """Return when the server has done, or given up, whatever it was still at for the application."""
    nobodys = [{"command.hello": {"$exists": True}}, {"command.isMaster": {"$exists": True}}]
    while await operations(database, {"active": True, "$nor": nobodys}):
        await asyncio.sleep(0.05)
    # Its majority is one of everything before it.
    await database.collection("notes").insert_one({"about": "the end"})


async def operations(database: Database, match: dict[str, Any]) -> int:
    """Return how many operations and sessions of the application the server knows that *match*."""
    admin = database.raw.client.admin.with_options(read_concern=ReadConcern("local"))
    stages = [{"$currentOp": {"idleSessions": True}}, {"$match": {"appName": APP} | match}]
    return len([row async for row in admin.aggregate(stages)])


@pytest.mark.parametrize(("name", "effect"), CASES)
async def test_write_failed_by_server_has_known_outcome(
    database: Database, mongo_uri: str, name: str, effect: str
) -> None:
    write = WRITES[name]
    async with subject_on(database, mongo_uri, NO_RETRIES) as subject:
        async with failing(database, write.command, effect):
            outcome = await outcome_of(partial(write.call, subject))
        await until_served(database)
        applied = await write.applied(subject)
        left_open = await operations(database, {"transaction": {"$exists": True}})

    outcomes, times = expected(write, effect)
    assert outcome in outcomes
    assert applied in times
    assert left_open == 0


@pytest.mark.parametrize(("name", "effect"), MAY_BE_REPEATED)
async def test_retried_write_happens_once(database: Database, mongo_uri: str, name: str, effect: str) -> None:
    write = WRITES[name]
    async with subject_on(database, mongo_uri, RETRY_TIMEOUT) as subject:
        async with failing(database, write.command, effect):
            outcome = await outcome_of(partial(write.call, subject))
        await until_served(database)
        applied = await write.applied(subject)

    assert outcome is None
    assert applied == 1
