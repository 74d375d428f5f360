"""Bad definitions and answers of a guest, against a server process: each is told whole, and none holds others up."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from appdb import Database
from appdemo.host import Host
from appsupport.hosts import watched_appserver
from appsupport.hosts.watched_appserver import holds_in
from appsupport.workflows.bad_answers import QUESTIONS, UNREADABLE
from appsupport.workflows.bad_definitions import AT_LIMITS, ROWS, Row, written
from appsupport.workflows.large_requests import LARGE_ANSWERS, LARGE_DEFINITIONS, LARGE_QUESTION

HEADERS = {"Content-Type": "application/json"}
SUPPORT = Path(watched_appserver.__file__).parents[2]
MAX_HOLD_SECONDS = 0.05
MAX_REQUEST_SECONDS = 0.5
"""What the server's process may take of the processor for one request."""
MAX_GROWTH_BYTES = 100 * 1024 * 1024
TRIES = 5
"""A request counts as its best of so many: now and then the server collects garbage, or works for itself."""
IDLE_SECONDS = 1.0
PLUG_IN = "\n".join(
    ["[appserver.modules]"]
    + [
        f"{name} = appsupport.workflows.small_modules:{name}"
        for name in ("Each", "GiveNumber", "GiveScenes", "Template")
    ]
)
WARNINGS = {"unknown_type", "unnamed_input"}
"""What may be right: another host may have the type, and an open schema takes other names."""
UNREAD = {"no_json", "too_large", "too_deep", "repeated_key"}
"""What the reader of bodies refuses before the check of definitions sees it."""


@dataclass(slots=True, kw_only=True)
class Watched:
    """A server process, a guest of it, and what its loop was held by."""

    host: Host
    holds: Path
    client: httpx2.AsyncClient
    taken: list[float] = field(default_factory=list)

    async def post(self, address: str, body: bytes) -> httpx2.Response:
        """Post a body, which must hold nobody up: neither for long at once, nor in all."""
        slowest: list[tuple[float, float]] = []
        for _ in range(TRIES):
            used, began = self.processor_seconds(), time.monotonic()
            answer = await self.client.post(address, content=body, headers=HEADERS)
            # A hold is written down once it is over: behind the answer, perhaps.
            await asyncio.sleep(0.005)
            slowest.append((self._longest_hold(began), self.processor_seconds() - used))
            if slowest[-1][0] <= MAX_HOLD_SECONDS and slowest[-1][1] <= MAX_REQUEST_SECONDS:
                self.taken.append(slowest[-1][0])
                return answer
        raise AssertionError((address, body[:200], slowest))

    def processor_seconds(self) -> float:
        """Return the time of the processor that the process has taken so far."""
        fields = Path(f"/proc/{self.host.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_bytes(self) -> int:
        """Return the most memory that the process has had."""
        status = Path(f"/proc/{self.host.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def _longest_hold(self, since: float) -> float:
        return max((hold.seconds for hold in holds_in(self.holds) if hold.ended >= since), default=0.0)


@pytest.fixture
def plug_in(tmp_path: Path) -> Path:
    """A folder on the path of packages in which the small modules are installed."""
    folder = tmp_path / "packages" / "small_modules-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: small-modules\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(PLUG_IN)
    return folder.parent


@pytest.fixture
async def watched(mongo_uri: str, database: Database, plug_in: Path, logs: Path) -> AsyncIterator[Watched]:
    holds = logs.parent / "holds"
    settings = {
        "APP_MONGO_URI": mongo_uri,
        "APP_MONGO_DATABASE": database.name,
        "PYTHONPATH": os.pathsep.join([str(SUPPORT), str(plug_in)]),
    }
    host = Host("api", [sys.executable, watched_appserver.__file__, str(holds)], settings, logs)
    try:
        address = await asyncio.to_thread(host.wait_for, r"ready at (http://\S+?)/\n")
        async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
            key = (await client.post("/api/guests")).json()["key"]
            client.headers["Authorization"] = f"Bearer {key}"
            yield Watched(host=host, holds=holds, client=client)
    finally:
        host.stop()


def places(problems: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(each["pointer"], each["code"]) for each in problems}


async def check_definition_row(watched: Watched, row: Row) -> None:
    """Check that a bad definition is told with the same problems wherever it may be given."""
    value, *expected = row
    body = b'{"definition": ' + written(value) + b"}"
    told = await watched.post("/api/workflows/check", body)
    refused = await watched.post("/api/workflows", body)

    shown = (row[1:], body[:200], told.status_code, told.text[:600], refused.status_code)
    if told.status_code != 200:
        unread = UNREAD & {code for _, code in expected} or not isinstance(value, dict)
        assert unread, shown
        assert refused.status_code == told.status_code, shown
        assert (told.status_code == 413) != bool(told.json()["errors"]), shown
        return
    assert places(told.json()["problems"]) == set(expected), shown
    if {code for _, code in expected} <= WARNINGS:
        assert (told.json()["valid"], refused.status_code) == (True, 201), shown
        return
    assert (told.json()["valid"], refused.status_code) == (False, 422), shown
    assert {error["field"] for error in refused.json()["errors"]} == {f"/definition{place}" for place, _ in expected}
    assert places(refused.json()["facts"]["problems"]) == set(expected), shown


async def check_answers(watched: Watched, name: str) -> None:
    """Check that each bad answer to a question is told whole, and that the question stays open."""
    definition, rows = QUESTIONS[name]
    address, run = await asked(watched, definition, name)
    for response, expected in rows:
        answer = await watched.post(address, json.dumps({"response": response}).encode())

        assert answer.status_code == 422, (response, answer.text)
        assert {error["field"] for error in answer.json()["errors"]} == expected, (response, answer.text)
    for raw, status in UNREADABLE:
        assert (await watched.post(address, raw)).status_code == status, raw[:100]
    now = (await watched.client.get(f"/api/runs/{run['id']}")).json()
    assert (now["status"], now["last_seq"]) == ("awaiting_input", run["last_seq"])


async def asked(watched: Watched, definition: dict[str, Any], project: str) -> tuple[str, dict[str, Any]]:
    """Start a run, and return where its question is answered, and the run."""
    body = json.dumps({"definition": definition, "project": project}).encode()
    run = (await watched.post("/api/runs", body)).json()
    return f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer", run


@asynccontextmanager
async def second_connection(watched: Watched) -> AsyncIterator[list[float]]:
    """Ask for little over and over on a connection of its own, and note how long each answer took."""
    waits: list[float] = []

    async def ask(client: httpx2.AsyncClient) -> None:
        while True:
            began = time.monotonic()
            (await client.get("/healthz/live")).raise_for_status()
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.005)

    async with httpx2.AsyncClient(base_url=watched.client.base_url, timeout=60) as client:
        asking = asyncio.create_task(ask(client))
        try:
            yield waits
        finally:
            asking.cancel()
            await asyncio.wait([asking])


async def test_bad_requests_are_told_and_hold_nobody_up(watched: Watched) -> None:
    assert len(ROWS) + sum(len(rows) for _, rows in QUESTIONS.values()) + len(UNREADABLE) >= 200
    async with second_connection(watched) as waits:
        await asyncio.sleep(IDLE_SECONDS)
        idle = statistics.median(waits)
        waits.clear()
        for row in ROWS:
            await check_definition_row(watched, row)
        for name in QUESTIONS:
            await check_answers(watched, name)
        busy = statistics.median(waits)

    assert busy <= idle + MAX_HOLD_SECONDS
    # The watch itself works: something of this took a moment.
    assert max(watched.taken) > 0


async def test_large_requests_hold_nobody_up(watched: Watched) -> None:
    before = watched.peak_bytes()
    for definition in LARGE_DEFINITIONS.values():
        answer = await watched.post("/api/workflows/check", json.dumps({"definition": definition}).encode())
        assert answer.status_code in {200, 413, 422}, answer.text
    for name, definition in AT_LIMITS.items():
        answer = await watched.post("/api/workflows/check", b'{"definition": ' + written(definition) + b"}")
        assert (answer.status_code, answer.json()["valid"]) == (200, True), (name, answer.text)
    for name, response in LARGE_ANSWERS.items():
        address, _ = await asked(watched, LARGE_QUESTION, name)
        answer = await watched.post(address, json.dumps({"response": response}).encode())
        assert answer.status_code in {200, 409, 413, 422}, (name, answer.text)

    assert watched.peak_bytes() - before <= MAX_GROWTH_BYTES
