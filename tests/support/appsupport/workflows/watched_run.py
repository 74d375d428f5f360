"""A watched run: hands that do to a run what an engine and a worker would, and its stream as it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from appdb import (
    ChangeFeed,
    Claimer,
    Database,
    DbEventType,
    EventRepository,
    Lease,
    NewEvent,
    NewTask,
    RunListRepository,
    StateRepository,
    TaskEventType,
    TaskQueue,
    WorkflowRepository,
)
from appdb.models import Branch, NewRun, NewRunEvent, Run
from appserver.api.run_frames import RunFrames
from appserver.streams.run_reader import RunSources
from appserver.streams.run_streams import RunStreams

OWNER = "usr_a"
SOON = 15
E = DbEventType
SentEvent: TypeAlias = tuple[str | None, str, dict[str, Any]]
"""The id, the name and the data of an event of a stream."""


def parsed(text: bytes) -> list[SentEvent]:
    """Return the id, the name and the data of each event in *text*."""
    found = []
    for block in text.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line)
        if fields:
            found.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
    return found


class Watched:
    """A run, with hands that do what the engine and a worker would."""

    def __init__(self, database: Database, feed: ChangeFeed) -> None:
        self.runs, self.events = WorkflowRepository(database), EventRepository(database)
        self.states, self.queue = StateRepository(database), TaskQueue(database)
        lists = RunListRepository(database)
        sources = RunSources(states=self.states, lists=lists, events=self.events, queue=self.queue, feed=feed)
        self.streams = RunStreams(sources, encode=RunFrames())
        self.run: Run

    async def open(self) -> None:
        self.run, _ = await self.runs.open(NewRun(project="p"), owner_id=OWNER)

    async def append(self, *events: tuple[E, dict[str, Any]], step: str = "s", module: str = "m") -> None:
        run = await self.runs.get(self.run.id, owner_id=OWNER)
        new = [NewRunEvent(type=kind, step=step, module=module, data=data) for kind, data in events]
        await self.events.append(run.id, new, owner_id=OWNER, branch_id=run.branch_id)

    async def start(self) -> None:
        await self.append((E.STEP_STARTED, {}), (E.MODULE_STARTED, {}))

    async def wait_for_task(self, task_id: str) -> Lease:
        """Enqueue a task, let the run wait for it, and claim it."""
        await self.queue.enqueue(NewTask(owner_id=OWNER, actor="llm", payload={}, task_id=task_id))
        waits = {"sub_action_id": f"m/{task_id}", "_waiting_on": [{"kind": "task", "id": task_id}]}
        await self.append((E.SUB_ACTION_STARTED, waits))
        return await self.claim()

    async def claim(self) -> Lease:
        (task,) = await self.queue.claim(Claimer(worker_id="w", queues=("default",), handlers=("llm@1",)))
        return Lease.of(task)

    async def say(self, lease: Lease, *texts: str, started: bool = False) -> None:
        first = [NewEvent(type=TaskEventType.STARTED)] if started else []
        chunk = NewEvent(type=TaskEventType.CHUNK, data={"chunks": [{"text": text} for text in texts]})
        task = await self.queue.get(lease.task_id, owner_id=OWNER)
        await self.queue.append_events(lease, [*first, chunk], seq=task.event_count)

    async def jump(self, step: str = "s") -> Branch:
        """Go back before a step."""
        run = await self.runs.get(self.run.id, owner_id=OWNER)
        return await self.states.jump(run.id, step, owner_id=OWNER, branch_id=run.branch_id)

    async def follow(self, **options: Any) -> AsyncIterator[bytes]:
        run = await self.runs.get(self.run.id, owner_id=OWNER)
        async for text in self.streams.follow(run, **options):
            yield text


async def next_of(stream: AsyncIterator[bytes]) -> list[SentEvent]:
    async with asyncio.timeout(SOON):
        return parsed(await anext(stream))
