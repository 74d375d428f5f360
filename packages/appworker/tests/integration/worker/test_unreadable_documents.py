"""A worker among documents that cannot be read: it lives, does its work and drains as if they were not."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

from appdb import Database, NewTask, TaskState
from appsupport.documents.damaged_documents import damage
from appsupport.documents.written_documents import write_all
from appsupport.hosts.live_tasks import OWNER, StartWorker, Tasks

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
DAMAGES: list[dict[str, Any]] = [
    {"payload": "hello"},
    {"priority": 0.5},
    {"attempt": "first"},
    {"owner_id": 7},
    {"actor": "nobody"},
    {"tail": "none"},
    {"errors": "none"},
    {"limits": [{"key": 5}], "limited": True},
]
HELD = {"state": "processing", "lease": {"token": "t", "worker_id": "gone", "expires_at": LONG_AGO}}
EXPIRED = {"expires_at": LONG_AGO}
LIVE = ["queued", "processing"]
DELAY = timedelta(seconds=1)


async def test_worker_beside_unreadable_documents_works_and_drains(
    start_worker: StartWorker, tasks: Tasks, database: Database
) -> None:
    await write_all(database)
    await damage(database)
    rows = database.collection("tasks")
    bad = [await tasks.add("probe.noop") for _ in range(3 * len(DAMAGES))]
    for number, task in enumerate(bad):
        place = ({}, HELD, EXPIRED)[number // len(DAMAGES)]
        await rows.update_one({"_id": task.id}, {"$set": place | DAMAGES[number % len(DAMAGES)]})
    host = start_worker(slots=4)
    good = [await tasks.add("probe.noop") for _ in range(20)]
    other = await tasks.queue.enqueue(NewTask(owner_id="usr_b", actor="probe.noop", payload={}))
    delayed = await tasks.queue.enqueue(NewTask(owner_id=OWNER, actor="probe.noop", payload={}, delay=DELAY))
    done = [await tasks.final(task) for task in [*good, delayed]]
    async with asyncio.timeout(30):
        while await rows.count_documents({"_id": {"$in": [one.id for one in bad]}, "state": {"$in": LIVE}}):
            await asyncio.sleep(0.1)
    beside = await tasks.queue.get(other.id, owner_id="usr_b")
    host.process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(host.process.wait, 20)

    assert {task.state for task in [*done, beside]} == {TaskState.COMPLETED}
    assert code == 0
    assert "Traceback" not in host.log.read_text()
