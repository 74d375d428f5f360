"""Measures the queue and the worker against bare driver calls, in one run on one machine; it never fails a test."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pymongo.errors import PyMongoError

from appbench import (
    conflicts,
    drain,
    engine,
    enqueue,
    going_back,
    history,
    idle,
    memory,
    pickup,
    polling_pickup,
    streaming,
)
from appbench.rows import HEAD, Row, line, write_json
from appbench.stage import BenchError, Stage
from appdb import AppDbError
from appdemo.host import HostError
from appsupport.mongo.server import mongo_server

MEASURES: dict[str, Callable[[Stage], Awaitable[list[Row]]]] = {
    "enqueue": enqueue.measure,
    "drain": drain.measure,
    "conflicts": conflicts.measure,
    "pickup": pickup.measure,
    "blind": polling_pickup.measure,
    "streaming": streaming.measure,
    "idle": idle.measure,
    "engine": engine.measure,
    "going_back": going_back.measure,
    "history": history.measure,
    "memory": memory.measure,
}
THREADS = "MOTOR_MAX_WORKERS"


async def main(stage: Stage, names: list[str]) -> tuple[list[Row], list[str]]:
    """Take the measures, show each as it is there, and return all rows, and which measures could not be taken."""
    rows: list[Row] = []
    missing = []
    print(HEAD)
    for name in names:
        began = time.monotonic()
        try:
            found = await MEASURES[name](stage)
        except (AppDbError, PyMongoError, BenchError, HostError) as exc:
            print(f"{name} COULD NOT BE MEASURED: {type(exc).__name__}: {exc}")
            missing.append(name)
            continue
        print("\n".join(line(row) for row in found))
        print(f"  {name}: {time.monotonic() - began:.0f} s, load average {os.getloadavg()[0]:.1f}", flush=True)
        rows += found
    return rows, missing


def parse() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    parser.add_argument("--quick", action="store_true", help="measure less, for a first impression")
    parser.add_argument("--only", metavar="A,B", help=f"only these of {', '.join(MEASURES)}")
    parser.add_argument("--history", type=int, help="finished tasks of a long history (default: 1000000; quick: 50000)")
    options = parser.parse_args()
    options.names = options.only.split(",") if options.only else list(MEASURES)
    if unknown := [name for name in options.names if name not in MEASURES]:
        parser.error(f"unknown measure {unknown[0]!r}; known are {', '.join(MEASURES)}")
    return options


def with_threads() -> None:
    """Begin again with a thread for each call in flight: Motor makes ten on two cores, and would measure those."""
    if os.environ.pop(THREADS, None) is None:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {THREADS: str(conflicts.CLAIMERS)})  # noqa: S606


if __name__ == "__main__":
    with_threads()
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, mongo_server() as server:
        print(f"MongoDB: {server.description}; {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
        finished = arguments.history or (50_000 if arguments.quick else 1_000_000)
        given = Stage(uri=server.uri, logs=Path(folder), quick=arguments.quick, history=finished)
        measured, not_measured = asyncio.run(main(given, arguments.names))
    if arguments.json:
        write_json(measured, arguments.json)
    # A missed target is a result and no failure; a measure that is missing is one.
    sys.exit(1 if not_measured else 0)
