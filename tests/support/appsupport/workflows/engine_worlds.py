"""The two worlds that the engine's contract is tested in: the harness, and a real database with a stubbed worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pydantic import JsonValue

from appdb import ChangeFeed, Claimer, Database, DbEventType, Lease, TaskQueue, TaskState
from appdb.models import RunStatus, RunView
from appserver.engine.runner.loop import EngineLoop
from appserver.engine.runner.stores import EngineStores
from appserver.engine.service import EngineService, NewStart
from appserver.modules.builtin import host_registry
from appserver.testing import Fails, Harness, HarnessRun, StaysSilent

Worker = Callable[[Mapping[str, JsonValue]], JsonValue]
"""What the one actor of the contract makes of a payload; an exception is a failure, ``None`` never ends."""
ACTOR = "work"
SETTLE_SECONDS = 20
QUIET_SECONDS = 0.4
OWNER = "usr_contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What both worlds must agree on about a run."""

    status: RunStatus
    output: JsonValue
    question: str | None
    error: str | None
    done: tuple[str, ...]
    waits: tuple[str, ...]
    payloads: tuple[JsonValue, ...]


class EngineWorld(Protocol):
    """A place where workflows run."""

    async def start(self, definition: Mapping[str, Any], given: Mapping[str, JsonValue], worker: Worker) -> None:
        """Start a run."""

    async def answer(self, response: JsonValue) -> None:
        """Answer the open question."""

    async def signal(self, name: str, payload: JsonValue) -> None:
        """Send a message."""

    async def act(self, module: str, action: str, arguments: Mapping[str, JsonValue]) -> None:
        """Ask for a sub-action."""

    async def cancel(self) -> None:
        """Cancel the run."""

    async def settled(self) -> Facts:
        """Let everything happen that can happen by itself, and return what has become of the run."""


class HarnessWorld:
    """The harness."""

    def __init__(self) -> None:
        self._run: HarnessRun | None = None

    @property
    def run(self) -> HarnessRun:
        assert self._run is not None, "start a run first"
        return self._run

    async def start(self, definition: Mapping[str, Any], given: Mapping[str, JsonValue], worker: Worker) -> None:
        harness = Harness(definition, input=given).does(ACTOR, partial(_ended, worker))
        self._run = harness.begin()

    async def answer(self, response: JsonValue) -> None:
        self.run.answer(response)

    async def signal(self, name: str, payload: JsonValue) -> None:
        self.run.signal(name, payload)

    async def act(self, module: str, action: str, arguments: Mapping[str, JsonValue]) -> None:
        self.run.act(module, action, arguments)

    async def cancel(self) -> None:
        self.run.cancel()

    async def settled(self) -> Facts:
        outcome = self.run.run()
        state = outcome.state
        return Facts(
            status=outcome.status,
            output=outcome.output,
            question=None if outcome.question is None else outcome.question["title"],
            error=None if outcome.error is None else str(outcome.error["code"]),
            done=_done(outcome.state),
            waits=_waits(state),
            payloads=tuple(sorted((dict(task.payload) for task in outcome.tasks), key=str)),
        )


def _ended(worker: Worker, payload: Mapping[str, JsonValue]) -> Mapping[str, JsonValue] | Fails | StaysSilent:
    try:
        result = worker(payload)
    except ValueError as exc:
        return Fails(message=str(exc))
    return StaysSilent() if result is None else _result(result)


class RealWorld:
    """A real database, the engine's own loop, and a worker that runs stubs."""

    def __init__(self, database: Database) -> None:
        self._queue = TaskQueue(database)
        registry = host_registry()
        stores = EngineStores.of(database, self._queue)
        self._service = EngineService(stores, registry)
        self._stores = stores
        self._feed = ChangeFeed(database, events=True, runs=True)
        service = self._service
        self._loop = EngineLoop(service.advancer, service.looks, TaskQueue(database), self._feed, registry, 4)
        self._working: list[asyncio.Task[None]] = []
        self._run_id = ""
        self._payloads: list[JsonValue] = []
        self._worker: Worker = lambda _: None

    async def __aenter__(self) -> RealWorld:
        self._working = [
            asyncio.create_task(work) for work in (self._feed.run(), self._loop.run(), self._work(), self._promote())
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def start(self, definition: Mapping[str, Any], given: Mapping[str, JsonValue], worker: Worker) -> None:
        self._worker = worker
        view, _ = await self._service.start(NewStart(owner_id=OWNER, definition=definition, input=given))
        self._run_id = view.run.id

    async def answer(self, response: JsonValue) -> None:
        view = await self._asking()
        assert view.state.pending is not None
        asked = view.state.pending.data["interaction_id"]
        await self._service.respond(view.run.id, asked, response, owner_id=OWNER)

    async def signal(self, name: str, payload: JsonValue) -> None:
        await self._service.signal(self._run_id, name, payload, owner_id=OWNER)

    async def act(self, module: str, action: str, arguments: Mapping[str, JsonValue]) -> None:
        await self._service.act(self._run_id, module, action, owner_id=OWNER, arguments=arguments)

    async def cancel(self) -> None:
        await self._service.cancel(self._run_id, owner_id=OWNER)

    async def settled(self) -> Facts:
        seen, since = -1, asyncio.get_running_loop().time()
        async with asyncio.timeout(SETTLE_SECONDS):
            while True:
                await asyncio.sleep(0.05)
                counted = await self._counted()
                now = asyncio.get_running_loop().time()
                if counted != seen:
                    seen, since = counted, now
                elif now - since > QUIET_SECONDS and not await self._busy():
                    return await self._facts()

    async def _counted(self) -> int:
        own = await self._service.view(self._run_id, owner_id=OWNER)
        children = await self._stores.runs.children(self._run_id, owner_id=OWNER)
        return own.run.event_count + sum(child.event_count for child in children)

    async def _busy(self) -> bool:
        """Return whether a task of the engine is live: one that is scheduled is a timer, whose time will come."""
        live = (TaskState.SCHEDULED, TaskState.QUEUED, TaskState.PROCESSING)
        tasks = await self._queue.page(owner_id=OWNER, states=live, limit=100)
        return any(task.queue == "engine" for task in tasks)

    async def _facts(self) -> Facts:
        view = await self._service.view(self._run_id, owner_id=OWNER)
        output = None
        if view.run.status is RunStatus.COMPLETED:
            ending = await self._stores.events.latest(self._run_id, DbEventType.WORKFLOW_COMPLETED, owner_id=OWNER)
            output = None if ending is None else ending.data.get("output")
        error = None if view.state.error is None else view.state.error.data.get("error")
        return Facts(
            status=view.run.status,
            output=output,
            question=None if view.state.pending is None else view.state.pending.data["title"],
            error=None if error is None else str(error["code"]),
            done=_done(view.state),
            waits=_waits(view.state),
            payloads=tuple(sorted(self._payloads, key=str)),
        )

    async def _asking(self) -> RunView:
        """Return the run, or the first child of it, that asks something; the run itself when none does."""
        own = await self._service.view(self._run_id, owner_id=OWNER)
        if own.state.pending is None:
            for child in await self._stores.runs.children(self._run_id, owner_id=OWNER):
                if child.status is RunStatus.AWAITING_INPUT:
                    return await self._service.view(child.id, owner_id=OWNER)
        return own

    async def _work(self) -> None:
        claimer = Claimer(worker_id="wrk_contract", queues=("default",), handlers=(f"{ACTOR}@1",))
        while True:
            tasks = await self._queue.claim(claimer, limit=8)
            for task in tasks:
                self._payloads.append(dict(task.payload))
                try:
                    result = self._worker(task.payload)
                except ValueError as exc:
                    await self._queue.fail(Lease.of(task), "Broken", str(exc), retry_in=None)
                else:
                    if result is not None:
                        await self._queue.complete(Lease.of(task), _result(result))
            await asyncio.sleep(0.02)

    async def _promote(self) -> None:
        while True:
            await self._queue.promote()
            await asyncio.sleep(0.05)


def _result(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {"value": value}


def _done(state: Any) -> tuple[str, ...]:
    return tuple(module for names in state.modules_completed.values() for module in names)


def _waits(state: Any) -> tuple[str, ...]:
    return tuple(sorted(f"{wait.kind} of {wait.module}" for wait in state.waiting_on))
