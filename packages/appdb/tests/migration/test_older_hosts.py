"""Hosts of the contract before go on working while a hundred thousand documents are brought along, and after."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from appdb import Claimer, ContractMismatchError, Database, Lease, NewTask, TaskQueue
from appdb.migrations.options import BackFillPace, RunOptions
from appdb.migrations.records import StepProgress
from appsupport.migrations.earlier_releases import CONTRACT_2, restore, sources_of
from appsupport.migrations.trial_migration import COLLECTION, migrator, write_notes

HOST = Path(__file__).with_name("older_host.py")
MANY = 100_000
SECONDS = 120
pytestmark = pytest.mark.timeout(600)


@dataclass
class OlderHost:
    """A running host of contract 2, and at the end how many tasks it has done."""

    process: asyncio.subprocess.Process
    rounds: int = 0


@asynccontextmanager
async def older_host(uri: str, database: Database, sources: Path | None, owner: str) -> AsyncIterator[OlderHost]:
    paths = [*([str(sources)] if sources else []), os.environ.get("PYTHONPATH", "")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HOST),
        uri,
        database.name,
        owner,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(SECONDS):
            ready = await process.stdout.readline()
            if ready != b"ready\n":
                _, said = await process.communicate()
                raise AssertionError(said.decode())
            host = OlderHost(process)
            yield host
            out, said = await process.communicate(b"")
        assert process.returncode == 0, said.decode()
        host.rounds = json.loads(out)["rounds"]
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.fixture(params=["previous release", "this release"])
def sources(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where the older host's code is; ``None`` for this release, which then checks the contract as the older does."""
    if request.param == "this release":
        return None
    try:
        return sources_of(CONTRACT_2, tmp_path)
    except LookupError as exc:
        pytest.skip(str(exc))


async def test_older_host_works_during_and_after_migration(
    empty: Database, mongo_uri: str, sources: Path | None
) -> None:
    await restore(empty, "0.2")
    await write_notes(empty, MANY)
    old = [{"_id": f"tq_{number:06}", "owner_id": "usr_x", "state": "completed"} for number in range(MANY)]
    await empty.collection("tasks").insert_many(old)
    # So that an index has to be built over all of them, too.
    await empty.collection("tasks").drop_index("tasks_owner_state")
    told: list[StepProgress] = []
    options = RunOptions(
        pace=BackFillPace(batch=5_000, pause=timedelta(seconds=0.1)), report=lambda _, step: told.append(step)
    )
    with pytest.raises(ContractMismatchError, match="appdb migrate"):
        await empty.open()
    async with older_host(mongo_uri, empty, sources, "usr_during") as during:
        await migrator(empty, options).up()
    async with older_host(mongo_uri, empty, sources, "usr_after") as after:
        await work_beside(empty)

    assert during.rounds > 5
    assert after.rounds > 0
    assert await empty.collection("tasks").count_documents({"owner_id": "usr_during"}) == during.rounds
    assert await empty.collection(COLLECTION).count_documents({"filled": 1}) == MANY
    assert await empty.index_differences() == []
    labels = [step.done for step in told if step.name == "labels"]
    assert labels == sorted(labels)
    assert (labels[0], labels[-1], len(labels)) == (0, MANY, MANY // 5_000 + 2)
    assert {step.total for step in told if step.name == "labels"} == {MANY}


async def work_beside(database: Database) -> None:
    """Do one task as a host of this release does, while the older one does its own."""
    await database.open()
    queue = TaskQueue(database)
    await queue.enqueue(NewTask(owner_id="usr_new", actor="echo", payload={}, queue="new"))
    claimer = Claimer(worker_id="newer", queues=("new",), handlers=("echo@1",))
    async with asyncio.timeout(SECONDS):
        while not (claimed := await queue.claim(claimer)):
            await asyncio.sleep(0.05)
    await queue.complete(Lease.of(claimed[0]), {"ok": True})


async def test_older_releases_start_command_keeps_contract(empty: Database, mongo_uri: str, tmp_path: Path) -> None:
    try:
        older = sources_of(CONTRACT_2, tmp_path)
    except LookupError as exc:
        pytest.skip(str(exc))
    await restore(empty, "0.2")
    await empty.migrate()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "appdb",
        "--uri",
        mongo_uri,
        "--database",
        empty.name,
        "migrate",
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(older)},
    )
    out, _ = await process.communicate()

    assert (process.returncode, out.decode().startswith("0 migrations run")) == (0, True)
    assert (await empty.migration_overview()).problems() == []
    await empty.open()
