"""The oplog moves on while a follower is away, so the history of its change stream is lost."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appdb import Claimer, Database, Lease, NewEvent, NewTask, TaskEventType, TaskQueue
from appdemo.host import Host
from appsupport.faults.fault_bounds import QUICK_ELECTION
from appsupport.mongo.replica_set import ReplicaSet, ReplicaSetOptions, fresh_database, replica_set

OPLOG_MEGABYTES = 16
EVENTS, BATCH = 300, 20
BALLAST = bytes(1_000_000)
TURN_SECONDS = 90


@pytest.fixture
def short_memory() -> Iterator[ReplicaSet]:
    """A set of three whose oplog is small."""
    with replica_set(ReplicaSetOptions(election=QUICK_ELECTION, oplog_megabytes=OPLOG_MEGABYTES)) as started:
        yield started


@pytest.mark.timeout(300)
async def test_follower_with_lost_oplog_misses_no_event(short_memory: ReplicaSet, logs: Path) -> None:
    async with fresh_database(short_memory.uri) as database:
        queue = TaskQueue(database)
        await queue.enqueue(NewTask(owner_id="usr_a", actor="echo", payload={}))
        (task,) = await queue.claim(Claimer(worker_id="wrk_a", queues=("default",), handlers=("echo@1",)))
        lease = Lease.of(task)
        follower = _start_follower(short_memory.uri, database.name, task.id, logs)
        try:
            await asyncio.to_thread(follower.wait_for, "(following)")
            await queue.append_events(lease, [NewEvent(type=TaskEventType.STARTED)], seq=0)
            await asyncio.to_thread(follower.wait_for, r"(seq 0)\b")
            follower.process.send_signal(signal.SIGSTOP)
            last_known = (await _oplog(database, -1))["ts"]
            for seq in range(1, EVENTS, BATCH):
                chunks = [NewEvent(type=TaskEventType.CHUNK, data={"n": seq + n}) for n in range(BATCH)]
                await queue.append_events(lease, chunks, seq=seq)
            await _turn_oplog_over(database, last_known)
            follower.process.send_signal(signal.SIGCONT)
            await asyncio.to_thread(follower.wait_for, "(the change feed was interrupted)")
            await asyncio.to_thread(follower.wait_for, rf"(seq {EVENTS})\b")
            await queue.complete(lease)
            await asyncio.to_thread(follower.process.wait, 30)
        finally:
            follower.process.kill()
            follower.process.wait()
        said = follower.log.read_text()

    assert follower.process.returncode == 0, said
    assert re.search("ChangeStreamHistoryLost|CappedPositionLost", said), said
    assert [int(seq) for seq in re.findall(r"seq (\d+)", said)] == list(range(EVENTS + 2))


def _start_follower(uri: str, name: str, task_id: str, logs: Path) -> Host:
    script = str(Path(__file__).parent / "event_follower.py")
    return Host("follower", [sys.executable, "-u", script, uri, name, task_id], os.environ, logs)


async def _oplog(database: Database, order: int) -> dict[str, Any]:
    found = await database.raw.client.local["oplog.rs"].find_one({}, {"ts": 1}, sort=[("$natural", order)])
    assert found is not None
    return dict(found)


async def _turn_oplog_over(database: Database, last_known: object) -> None:
    """Write until the primary has forgotten *last_known*."""
    async with asyncio.timeout(TURN_SECONDS):
        while (await _oplog(database, 1))["ts"] <= last_known:
            await database.collection("ballast").insert_many([{"bytes": BALLAST} for _ in range(10)])
