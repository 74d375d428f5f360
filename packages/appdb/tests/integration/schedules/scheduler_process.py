"""A host that does nothing but tick schedules; if told to, it is killed at a point of its first tick.

Arguments: URI, database, and the point: ``passed`` (within the transaction, before the task), ``enqueued`` (within the
transaction, after the task), ``committed`` (after the transaction), or ``never``.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from typing import Any

from appdb import Database, DatabaseUnavailableError, ScheduleRepository, Task
from appdb.queue.admission import Admission


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class KilledAdmission(Admission):
    """An admission of tasks whose host is killed around it."""

    def __init__(self, database: Database, point: str) -> None:
        super().__init__(database)
        self.point = point

    async def admit(self, *args: Any) -> Task:
        if self.point == "passed":
            die()
        task = await super().admit(*args)
        if self.point == "enqueued":
            die()
        return task


class KilledDatabase(Database):
    """A database whose host is killed after a transaction."""

    async def transaction(self, body: Any) -> Any:
        await super().transaction(body)
        die()


async def main(uri: str, name: str, point: str) -> None:
    make: type[Database] = KilledDatabase if point == "committed" else Database
    async with make(uri, name) as database:
        repository = ScheduleRepository(database)
        repository._ticking._admission = KilledAdmission(database, point)
        say("ready: yes")
        while True:
            try:
                tasks = await repository.tick()
            except DatabaseUnavailableError as exc:
                say(f"unknown: {exc}")
                continue
            for task in tasks:
                say(f"enqueued: {task.id}")
            await asyncio.sleep(random.uniform(0.001, 0.02))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
