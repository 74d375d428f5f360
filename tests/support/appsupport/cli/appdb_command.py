"""The ``appdb`` command as a test uses it, and a stand-in for the worker on the other side of the database."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner
from pydantic import JsonValue

from appdb import Claimer, Database, Lease, NewEvent, RegistryRepository, Task, TaskEventType, TaskQueue
from appdb.cli import main
from appdb.models import AnnouncedActor, AnnouncedWorker

OWNER = "usr_a"
ACTOR = "paint"
QUEUE = "media"
SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a command: its output and exit code."""

    code: int
    out: str
    err: str

    def rows(self) -> list[dict[str, Any]]:
        """Return the JSON objects of the output, one per line."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """Runs commands on one database."""

    def __init__(self, uri: str, database: str) -> None:
        self._options = ["--uri", uri, "--database", database]
        self._running: list[subprocess.Popen[str]] = []

    async def __call__(self, *words: str, stdin: str = "") -> Answer:
        """Run a command here, in a thread, and return what it said."""
        run = CliRunner().invoke
        async with asyncio.timeout(SECONDS):
            result = await asyncio.to_thread(run, main, [*self._options, *words], input=stdin)
        unexpected = result.exception is not None and not isinstance(result.exception, SystemExit)
        if unexpected:
            raise AssertionError(result.output) from result.exception
        return Answer(code=result.exit_code, out=result.stdout, err=result.stderr)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "appdb", *self._options, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def stop(self) -> None:
        """End what still runs."""
        for process in self._running:
            process.kill()
            process.communicate()


async def said(process: subprocess.Popen[str]) -> Answer:
    """Return what *process* said, once it has ended."""
    async with asyncio.timeout(SECONDS):
        out, err = await asyncio.to_thread(process.communicate)
    return Answer(code=process.returncode, out=out, err=err)


class StandIn:
    """Announces one actor, claims its tasks, and writes what a worker would write."""

    def __init__(self, database: Database) -> None:
        self._registry = RegistryRepository(database)
        self._claimer = Claimer(worker_id="worker-1", queues=(QUEUE,), handlers=(f"{ACTOR}@3",))
        self.queue = TaskQueue(database)

    async def announce(self) -> None:
        worker = AnnouncedWorker(id="worker-1", host="here", pid=1, queues=[QUEUE], actors=[f"{ACTOR}@3"], slots=1)
        actor = AnnouncedActor(
            name=ACTOR,
            version=3,
            queue=QUEUE,
            description="Paints.",
            payload_schema={},
            max_attempts=2,
            timeout_seconds=90,
        )
        await self._registry.announce(worker, [actor])

    async def claim(self) -> Task:
        """Return the next task, with its first event written."""
        async with asyncio.timeout(SECONDS):
            while not (claimed := await self.queue.claim(self._claimer)):
                await asyncio.sleep(0.02)
        (task,) = claimed
        started = NewEvent(type=TaskEventType.STARTED, data={"attempt": task.attempt, "worker_id": "worker-1"})
        await self.write(task, [started])
        return task

    async def write(self, task: Task, events: Sequence[NewEvent]) -> None:
        now = await self.queue.get(task.id, owner_id=task.owner_id)
        await self.queue.append_events(Lease.of(task), events, seq=now.event_count)

    async def progress(self, task: Task, fraction: float, message: str = "") -> None:
        data: dict[str, JsonValue] = {"fraction": fraction, "message": message}
        await self.write(task, [NewEvent(type=TaskEventType.PROGRESS, data=data)])

    async def end(self, task: Task, outcome: str) -> None:
        """End a claimed task as ``completed``, ``failed`` or ``cancelled``."""
        if outcome == "completed":
            await self.queue.complete(Lease.of(task), {"text": "done"})
        elif outcome == "failed":
            await self.queue.fail(Lease.of(task), "PaintError", "no\x1b[2J paint", retry_in=None)
        else:
            await self.queue.cancel(task.id, owner_id=task.owner_id)
