"""Calls that find no primary: retried until there is one, or listed as not retried with the reason."""

from __future__ import annotations

import asyncio
import re
import socket
import socketserver
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.uri_parser import parse_uri

from appdb import Database, DatabaseUnavailableError, NotFoundError, ScheduleRepository, UserRepository, uuid7_str
from appdb.embedded import free_port
from appdb.models import NewSchedule
from appsupport.scenarios.scenario import Scenario, Stage
from appsupport.scenarios.table import SCENARIOS, SUBJECTS, made_for

GUARANTEES = Path(__file__).parents[5] / "docs" / "guarantees.md"
LISTED = re.compile(r"^\| `(\w+\.\w+(?: \([^)]+\))?)` \| (.+) \|$", re.MULTILINE)
IN_A_TRANSACTION = "(in a transaction)"
SHORT = timedelta(milliseconds=400)
LONG = timedelta(seconds=60)
GENEROUS_SECONDS = 10


def listed() -> dict[str, str]:
    """Return what the guarantees list as not retried, each with its reason."""
    text = GUARANTEES.read_text(encoding="utf-8")
    section = text[text.index("## Retried calls") : text.index("## Defaults")]
    return dict(LISTED.findall(section))


def is_listed(scenario: Scenario) -> bool:
    # In a caller's transaction nothing is retried by itself, as the section says at its beginning.
    joins = scenario.name.endswith(IN_A_TRANSACTION)
    return joins or bool({scenario.name, scenario.method} & listed().keys())


class Relay(socketserver.ThreadingTCPServer):
    """Leads from a port to the real server, in threads: closing a client may block the loop until it is answered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, uri: str, port: int) -> None:
        ((host, real_port), *_) = parse_uri(uri)["nodelist"]
        self._server = (host, real_port)
        super().__init__(("127.0.0.1", port), socketserver.BaseRequestHandler)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the server gives it
        with socket.create_connection(self._server) as server:
            threading.Thread(target=_copy, args=(server, request), daemon=True).start()
            _copy(request, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # either side may have gone
        while part := source.recv(65_536):
            target.sendall(part)


@contextmanager
def relay(uri: str, port: int) -> Iterator[None]:
    with Relay(uri, port) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@asynccontextmanager
async def unreachable(name: str, port: int, retry_timeout: timedelta) -> AsyncIterator[Database]:
    uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    database = Database(uri, name, operation_timeout=SHORT, retry_timeout=retry_timeout)
    try:
        yield database
    finally:
        await database.close()


async def outcome_of(call: Awaitable[object]) -> type[Exception] | None:
    try:
        await call
    except Exception as exc:  # noqa: BLE001 - what it is, the test asks
        return type(exc)
    return None


@pytest.mark.parametrize("subject", sorted(SUBJECTS))
async def test_method_retries_or_is_listed_as_not(subject: str, database: Database, mongo_uri: str) -> None:
    mine = [scenario for scenario in SCENARIOS.values() if scenario.method.partition(".")[0] == subject]
    stages = [Stage(database=database, owner=uuid7_str("usr_")) for _ in mine]
    made = [await scenario.prepare(stage) for scenario, stage in zip(mine, stages, strict=True)]
    port = free_port()
    async with unreachable(database.name, port, LONG) as late:
        calls = {
            scenario.name: asyncio.create_task(outcome_of(scenario.call(made_for(scenario, late), about, stage.owner)))
            for scenario, about, stage in zip(mine, made, stages, strict=True)
        }
        # It asks after all of them, so they have all found nobody when it has.
        with pytest.raises(DatabaseUnavailableError):
            await late.ping()
        given_up = await _ended({name: calls[name] for name in calls if is_listed(SCENARIOS[name])})
        with relay(mongo_uri, port):
            outcomes = {name: await call for name, call in calls.items()}

    assert {name for name, outcome in outcomes.items() if outcome is DatabaseUnavailableError} == given_up
    assert given_up == {name for name in calls if is_listed(SCENARIOS[name])}


async def _ended(calls: dict[str, asyncio.Task[Any]]) -> set[str]:
    """Return which of *calls* have ended, after a moment in which those that are made once do."""
    done, _ = await asyncio.wait(calls.values(), timeout=GENEROUS_SECONDS) if calls else (set(), set())
    return {name for name, call in calls.items() if call in done}


def test_method_listed_as_not_retried_has_reason() -> None:
    known = {name for scenario in SCENARIOS.values() for name in (scenario.name, scenario.method)}

    assert listed()
    assert listed().keys() <= known
    assert all(listed().values())


async def test_nested_retries_share_one_retry_timeout() -> None:
    retry_timeout = timedelta(seconds=1)
    async with unreachable("app", free_port(), retry_timeout) as database:
        is_late = False

        async def outer() -> None:
            nonlocal is_late
            if not is_late:
                is_late = True
                await asyncio.sleep(0.8)
                raise DatabaseUnavailableError("beginning", "nobody is there")
            await UserRepository(database).get("usr_a")

        began = time.monotonic()
        with pytest.raises(DatabaseUnavailableError):
            await database.retry(outer)

    assert time.monotonic() - began < 1.7


async def test_deletion_with_lost_answer_succeeds(database: Database) -> None:
    schedules = ScheduleRepository(database)
    await schedules.put(NewSchedule(owner_id="usr_a", name="news", cron="* * * * *", actor="echo", payload={}))
    unconfirmed = {"code": 64, "errmsg": "waiting for replication timed out"}
    point = {"failCommands": ["delete"], "writeConcernError": unconfirmed}
    admin = database.raw.client.admin
    await admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": point})
    await schedules.delete("news", owner_id="usr_a")

    with pytest.raises(NotFoundError):
        await schedules.delete("news", owner_id="usr_a")
