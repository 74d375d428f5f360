"""Only our errors leave the package: with no database, after its end, and with values that cannot be stored."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from appdb import (
    AppDbError,
    Database,
    DatabaseUnavailableError,
    InvalidDataError,
    NewTask,
    RegistryRepository,
    ScheduleRepository,
    TaskQueue,
    TooLargeError,
)
from appdb.base import BaseRepository
from appdb.embedded import free_port
from appdb.host import NO_RETRIES
from appdb.models import AnnouncedActor, AnnouncedWorker
from appsupport.scenarios.method_arguments import Values, public_methods

METHODS = public_methods()
NAMES = [f"{kind.__name__}.{name}" for kind, name in METHODS]
NEEDS_NO_DATABASE = {
    "Database.close",
    # These see without asking that a text is no key and no token of ours.
    "UserRepository.authenticate",
    "UserRepository.rotate",
    "UserRepository.sign_out",
    "UserRepository.user_of_key",
}
"""What may end without a word to the server."""
LONG = "x" * (17 * 1024 * 1024)
UNSTORABLE = {
    "a lone surrogate": Values(call=lambda *_: asyncio.sleep(0), text="\ud800", json="\ud800"),
    "NUL": Values(call=lambda *_: asyncio.sleep(0), text="a\x00b", json={"a\x00b": 1}),
    "a number of 65 bits": Values(call=lambda *_: asyncio.sleep(0), number=2**64, json=2**64),
    "an object": Values(call=lambda *_: asyncio.sleep(0), json=object()),
    "an operator": Values(call=lambda *_: asyncio.sleep(0), text="$lease.token", json={"$gt": {"a.b": "$$NOW"}}),
}


@pytest.fixture
async def nowhere() -> AsyncIterator[Database]:
    """A database whose server does not run."""
    made = Database(
        f"mongodb://127.0.0.1:{free_port()}/?replicaSet=rs0",
        "app",
        operation_timeout=timedelta(milliseconds=200),
        selection_timeout=timedelta(milliseconds=100),
        retry_timeout=NO_RETRIES,
    )
    yield made
    await made.close()


def bound(database: Database, kind: type, name: str) -> Callable[..., Any]:
    target = kind(database) if issubclass(kind, BaseRepository) else database
    method: Callable[..., Any] = getattr(target, name)
    return method


async def answer(method: Callable[..., Any], values: Values) -> object:
    """Call *method*, and return what it gives, all parts of it, or the error of ours that it raises."""
    try:
        called = method(**values.arguments(method))
        return [part async for part in called] if inspect.isasyncgen(called) else await called
    except AppDbError as exc:
        return exc


@pytest.mark.parametrize(("kind", "name"), METHODS, ids=NAMES)
async def test_every_method_tells_missing_database(nowhere: Database, kind: type, name: str) -> None:
    said = await answer(bound(nowhere, kind, name), Values(call=lambda *_: nowhere.ping()))

    assert isinstance(said, AppDbError) or f"{kind.__name__}.{name}" in NEEDS_NO_DATABASE


async def test_most_methods_reach_missing_database(nowhere: Database) -> None:
    values = Values(call=lambda *_: nowhere.ping())
    methods = [bound(nowhere, kind, name) for kind, name in METHODS if name != "close"]
    said = await asyncio.gather(*(answer(method, values) for method in methods))

    assert sum(isinstance(one, DatabaseUnavailableError) for one in said) > 0.7 * len(said)


@pytest.mark.parametrize(("kind", "name"), METHODS, ids=NAMES)
async def test_closed_database_raises_only_own_errors(nowhere: Database, kind: type, name: str) -> None:
    method = bound(nowhere, kind, name)
    await nowhere.close()
    said = await answer(method, Values(call=lambda *_: nowhere.ping()))

    assert isinstance(said, AppDbError) or f"{kind.__name__}.{name}" in NEEDS_NO_DATABASE


@pytest.mark.parametrize("values", UNSTORABLE.values(), ids=list(UNSTORABLE))
async def test_unstorable_value_raises_only_own_errors(database: Database, values: Values) -> None:
    for kind, name in METHODS:
        if kind is not Database:
            # What is no error of ours ends the test; what is neither stored nor refused is an answer.
            await answer(bound(database, kind, name), values)

    assert await database.check() == []


@pytest.mark.parametrize(
    "value",
    ["\ud800", 2**64, object(), {1, 2}, {"a\x00b": 1}, {1: 2}],
    ids=["half a character", "a large number", "an object", "a set", "NUL in a name", "a number as a name"],
)
async def test_unstorable_payload_names_itself(database: Database, value: Any) -> None:
    task = NewTask(owner_id="usr_a", actor="echo", payload={"value": value})
    with pytest.raises(InvalidDataError, match="payload"):
        await TaskQueue(database).enqueue(task)

    assert await database.collection("tasks").count_documents({}) == 0


@pytest.mark.parametrize("owner_id", ["\ud800", "usr_\udfff"])
async def test_impossible_owner_is_told(database: Database, owner_id: str) -> None:
    with pytest.raises(InvalidDataError, match=r"TaskQueue\.get"):
        await TaskQueue(database).get("tq_1", owner_id=owner_id)
    with pytest.raises(InvalidDataError):
        await ScheduleRepository(database).get("nightly", owner_id=owner_id)


async def test_document_over_servers_limit_is_too_large(database: Database) -> None:
    actor = AnnouncedActor(
        name="huge",
        version=1,
        queue="default",
        description=LONG,
        payload_schema={},
        max_attempts=1,
        timeout_seconds=1.0,
    )
    worker = AnnouncedWorker(id="w1", host="h", pid=1, queues=[], actors=[], slots=1)
    with pytest.raises(TooLargeError, match="1,048,576"):
        await RegistryRepository(database).announce(worker, [actor])
    with pytest.raises(TooLargeError):
        await TaskQueue(database).get(LONG, owner_id="usr_a")

    assert await database.collection("actors").count_documents({}) == 0


async def test_update_over_servers_limit_is_too_large(database: Database) -> None:
    notes = database.collection("notes")

    async def grow(session: Any) -> None:
        await notes.update_one({"_id": 1}, {"$set": {"a": LONG[: len(LONG) // 2]}}, upsert=True, session=session)
        await notes.update_one({"_id": 1}, {"$set": {"b": LONG[: len(LONG) // 2]}}, session=session)

    with pytest.raises(TooLargeError):
        await database.transaction(grow)

    assert await notes.count_documents({}) == 0


async def test_unstorable_value_is_told_in_transaction(database: Database) -> None:
    task = NewTask(owner_id="\ud800", actor="echo", payload={})

    async def enqueue(session: Any) -> None:
        await TaskQueue(database).enqueue(task, session=session)

    with pytest.raises(InvalidDataError):
        await database.transaction(enqueue)
