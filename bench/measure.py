"""Measures the queue and the worker against bare driver calls, in one run on one machine; it never fails a test."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles

from appdb import Database, NewTask, TaskQueue
from appdb.models.task import TaskState
from floors import Floors
from hosts import Host
from mongo_server import mongo_server
from rows import Row, table, write_json

IN_FLIGHT = 32
ENQUEUES = 3_000
DRAINED = 5_000
PICKUPS = 200
QUIET_SECONDS = 0.02
TASK = NewTask(owner_id="bench", actor="bench.noop", payload={})


async def main(options: argparse.Namespace, uri: str) -> list[Row]:
    """Return all rows."""
    database = Database(uri, f"bench_{time.time_ns()}")
    await database.migrate()
    async with database:
        floors = Floors(database)
        try:
            return [
                await _enqueue(database, floors),
                *await _drain(database, floors, uri, options.logs),
                *await _pickup(database, floors, uri, options.logs),
            ]
        finally:
            await database.raw.client.drop_database(database.name)


async def _enqueue(database: Database, floors: Floors) -> Row:
    queue = TaskQueue(database)
    floor = await _rate(ENQUEUES, floors.insert)
    ours = await _rate(ENQUEUES, lambda: queue.enqueue(TASK))
    await database.collection("tasks").delete_many({})
    return Row(id="enqueue, 32 in flight", value=ours, unit="1/s", floor=floor, target=0.9, rate=True)


async def _drain(database: Database, floors: Floors, uri: str, logs: Path) -> list[Row]:
    one_by_one = await floors.drain_one_by_one(DRAINED // 5, IN_FLIGHT)
    in_bulk = await floors.drain_in_bulk(DRAINED)
    ours = await _drain_with_worker(database, uri, logs)
    return [
        Row(id="drain, over one at a time", value=ours, unit="1/s", floor=one_by_one, target=3.0, rate=True),
        Row(id="drain, over bare bulk", value=ours, unit="1/s", floor=in_bulk, target=0.6, rate=True),
    ]


async def _drain_with_worker(database: Database, uri: str, logs: Path) -> float:
    queue = TaskQueue(database)
    await _rate(DRAINED, lambda: queue.enqueue(TASK))
    tasks = database.collection("tasks")
    worker = _start_worker(uri, database.name, logs, slots=IN_FLIGHT)
    first = await tasks.count_documents({"state": TaskState.COMPLETED})
    began = time.perf_counter()
    while (done := await tasks.count_documents({"state": TaskState.COMPLETED})) < DRAINED:
        await asyncio.sleep(0.05)
    rate = (done - first) / (time.perf_counter() - began)
    worker.stop()
    await tasks.delete_many({})
    return rate


async def _pickup(database: Database, floors: Floors, uri: str, logs: Path) -> list[Row]:
    """Measure from before the enqueue to the actor's first line; both are on this machine, so they share a clock."""
    floor = quantiles(await floors.wake_and_claim(PICKUPS), n=100)
    worker = _start_worker(uri, database.name, logs, slots=4)
    queue = TaskQueue(database)
    waits = []
    for _ in range(PICKUPS):
        began = time.time()
        task = await queue.enqueue(TASK)
        while (found := await queue.get(task.id, owner_id="bench")).state is not TaskState.COMPLETED:
            await asyncio.sleep(QUIET_SECONDS)
        waits.append(((found.result or {})["at"] - began) * 1_000)
        await asyncio.sleep(QUIET_SECONDS)
    worker.stop()
    ours = quantiles(waits, n=100)
    return [
        Row(id="pickup p50", value=ours[49], unit="ms", floor=floor[49], target=1.3, rate=False),
        Row(id="pickup p99", value=ours[98], unit="ms", floor=floor[98], target=2.0, rate=False),
    ]


def _start_worker(uri: str, database: str, logs: Path, *, slots: int) -> Host:
    environment = {
        "APP_MONGO_URI": uri,
        "APP_MONGO_DATABASE": database,
        "PYTHONPATH": str(Path(__file__).parent),
        "APPWORKER_LOG_LEVEL": "INFO",
    }
    command = [sys.executable, "-m", "appworker", "--actors", "noop_actor:noop", "--slots", str(slots)]
    worker = Host("worker", command, environment, logs)
    worker.wait_for(r'"event": "(ready)"')
    return worker


async def _rate(count: int, call: Callable[[], Awaitable[object]]) -> float:
    """Return calls per second, 32 in flight."""
    left = iter(range(count))

    async def lane() -> None:
        for _ in left:
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, mongo_server() as server:
        print(f"MongoDB: {server.description}")
        arguments.logs = Path(folder)
        rows = asyncio.run(main(arguments, server.uri))
    print(table(rows))
    if arguments.json:
        write_json(rows, arguments.json)
