"""Everything at random, from a seed that is told and can be given again; in the end the ledger holds."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from pymongo.errors import PyMongoError

import appworker
from appdb import Database, DatabaseUnavailableError, NewTask, uuid7_str
from appdb.embedded import EmbeddedServer
from appdb.host import app_name_of
from appdemo.host import Host
from appsupport.faults.chaos_plan import WORKERS, Fault, FaultKind, Plan, PlannedTask, make_plan
from appsupport.faults.ledger import Ledger
from appsupport.faults.worker_fleet import LEASE_SECONDS, OWNER, Fleet, signal_to

DEFAULT_SECONDS = 600.0
SETTLE_SECONDS = 300.0
T = TypeVar("T")


class Chaos:
    """A run: three workers that are always started again, tasks for them, and faults."""

    def __init__(self, fleet: Fleet, server: EmbeddedServer) -> None:
        self.fleet = fleet
        self.happened: Counter[FaultKind] = Counter()
        self._server = server
        self._restarting = asyncio.Lock()
        self._workers: dict[int, Host] = {}
        self._began = time.monotonic()

    async def run(self, plan: Plan) -> None:
        """Do all of *plan*, then return when every task has ended."""
        async with asyncio.TaskGroup() as group:
            keeping = [group.create_task(self._keep_running(number)) for number in range(WORKERS)]
            async with asyncio.TaskGroup() as acts:
                for task in plan.tasks:
                    acts.create_task(self._submit(task))
                for fault in plan.faults:
                    acts.create_task(self._let_happen(fault))
            await self._heal()
            await self.fleet.ledger.settle(SETTLE_SECONDS)
            for keeper in keeping:
                keeper.cancel()

    async def _keep_running(self, number: int) -> None:
        while True:
            worker = self._workers[number] = self.fleet.launch(slots=4, APPWORKER_DRAIN="1")
            while worker.process.poll() is None:
                await asyncio.sleep(0.1)
            # A worker that finds no database says so and ends; it is started again, as an operator's tools would.
            await asyncio.sleep(0.5)

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, self._began + at - time.monotonic()))

    async def _submit(self, planned: PlannedTask) -> None:
        await self._until(planned.at)
        new = NewTask(
            owner_id=OWNER,
            actor=planned.actor,
            payload=planned.payload,
            max_attempts=planned.max_attempts,
            delay=timedelta(seconds=planned.delay),
            task_id=uuid7_str("tq_"),
        )
        task = await _acknowledged(lambda: self.fleet.ledger.enqueue(new))
        if planned.cancel_after is not None:
            await asyncio.sleep(planned.cancel_after)
            await _acknowledged(lambda: self.fleet.ledger.cancel(task))

    async def _let_happen(self, fault: Fault) -> None:
        await self._until(fault.at)
        worker = self._workers[fault.worker]
        match fault.kind:
            case FaultKind.KILL:
                signal_to(worker, signal.SIGKILL)
            case FaultKind.FREEZE:
                signal_to(worker, signal.SIGSTOP)
                await asyncio.sleep(fault.seconds)
                signal_to(worker, signal.SIGCONT)
            case FaultKind.DRAIN:
                signal_to(worker, signal.SIGTERM)
            case FaultKind.FAIL_POINT:
                await self._fail_point(fault)
            case FaultKind.RESTART | FaultKind.CRASH:
                await self._restart(fault)
        self.happened[fault.kind] += 1

    async def _fail_point(self, fault: Fault) -> None:
        host = app_name_of(f"appworker/{appworker.__version__}", self.fleet.database.name)
        data = fault.fail_point["data"] | {"appName": host}
        command = {"configureFailPoint": "failCommand", "mode": fault.fail_point["mode"], "data": data}
        try:
            await self.fleet.database.raw.client.admin.command(command)
        except PyMongoError as exc:
            _say(f"no fail point, since the server is away: {exc}")

    async def _restart(self, fault: Fault) -> None:
        async with self._restarting:
            if fault.kind is FaultKind.CRASH:
                pid = (await self.fleet.database.raw.command("serverStatus"))["pid"]
                os.kill(pid, signal.SIGKILL)
            await self._server.stop()
            await asyncio.sleep(fault.seconds / 2)
            await self._server.start()

    async def _heal(self) -> None:
        await self.fleet.database.raw.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def _acknowledged(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat *call* until it is answered, as a client does that does not know whether it was done."""
    while True:
        try:
            return await call()
        except DatabaseUnavailableError:
            await asyncio.sleep(0.3)


@asynccontextmanager
async def own_server(folder: Path) -> AsyncIterator[EmbeddedServer]:
    """Yield a server of the test's own, which it may kill."""
    server = EmbeddedServer(folder, port=0, parameters={"enableTestCommands": "1"})
    async with server:
        yield server


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - read when a run has failed


def crashed(host: Host) -> bool:
    """Return whether a worker ended by an error that nobody had foreseen."""
    return re.search(r"^Traceback", host.log.read_text(errors="replace"), re.MULTILINE) is not None


@pytest.mark.timeout(7200)
async def test_ledger_holds_after_ten_minutes_of_chaos(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("APP_TEST_SEED") or random.SystemRandom().randrange(2**32))
    seconds = float(os.environ.get("APP_TEST_CHAOS_SECONDS") or DEFAULT_SECONDS)
    with capsys.disabled():
        _say(f"\nchaos of {seconds:g} s; repeat with APP_TEST_SEED={seed} APP_TEST_CHAOS_SECONDS={seconds:g}")
    plan = make_plan(seed, seconds)
    async with own_server(tmp_path / "db") as server:
        database = Database(server.uri, "chaos")
        await database.migrate()
        async with database:
            ledger = await Ledger.open(database, tmp_path / "notes")
            fleet = Fleet(uri=server.uri, database=database, ledger=ledger, logs=logs)
            chaos = Chaos(fleet, server)
            try:
                await chaos.run(plan)
            finally:
                fleet.end()
                _say(f"repeat with APP_TEST_SEED={seed} APP_TEST_CHAOS_SECONDS={seconds:g}; {dict(chaos.happened)}")
            await asyncio.sleep(LEASE_SECONDS)
            facts = await ledger.check()

    _say(f"{Counter(task['state'] for task in facts.tasks.values())}, {len(facts.history)} writes")
    assert len(facts.tasks) == len(plan.tasks)
    assert chaos.happened == Counter(fault.kind for fault in plan.faults)
    assert not [host.name for host in fleet.hosts if crashed(host)]


def test_seed_repeats_chaos_plan() -> None:
    assert make_plan(7, 100) == make_plan(7, 100)
    assert make_plan(7, 100) != make_plan(8, 100)
    assert {fault.kind for fault in make_plan(7, 600).faults} == set(FaultKind)
