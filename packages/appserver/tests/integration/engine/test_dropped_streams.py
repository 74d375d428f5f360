"""Viewers whose streams drop all the time, at two hosts in turn: they see each event once, and each task's text."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from appdb import Claimer, Database, DbEventType, EventRepository, Lease, NewEvent, Task, TaskEventType, TaskQueue
from appdb.models import NewRunEvent

Start = Callable[..., Awaitable[dict[str, Any]]]
Serve = Callable[..., Awaitable[str]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
Frames = Callable[[httpx2.Response], AsyncIterator[dict[str, str]]]

EVENTS = 2_000
DROPS = 200
VIEWERS = 2
LEAD = 60
CLAIMER = Claimer(worker_id="w", queues=("default",), handlers=("work@1",))
WORK = {"id": "work", "type": "task.run@1", "in": {"actor": "work", "payload": {"about": "{{ modules.topic.value }}"}}}
NO_EVENTS = {"tasks", "end", "snapshot"}


@dataclass
class Viewer:
    """A client that keeps what a stream tells, and whose connection drops after every few frames.

    Args:
        hosts: The hosts that it asks in turn.
        run_id: What it follows.
        chance: When it drops, and how it tells where it was.
        most: How many frames it gets before it drops.
    """

    hosts: tuple[httpx2.AsyncClient, ...]
    run_id: str
    chance: random.Random
    most: int = 14
    seen: list[int] = field(default_factory=lambda: [-1])
    branches: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    task_seq: dict[str, int] = field(default_factory=dict)
    rollbacks: int = 0
    drops: int = 0

    async def watch(self, frames: Frames) -> None:
        while not await self._watch_some(frames):
            self.drops += 1

    async def _watch_some(self, frames: Frames) -> bool:
        """Follow from where it was for a few frames; return whether the run has ended."""
        at, left = str(self.seen[-1]), self.chance.randint(1, self.most)
        by_header = self.seen[-1] >= 0 and self.chance.random() < 0.5
        told: dict[str, Any] = {"headers": {"Last-Event-ID": at}} if by_header else {"params": {"after": at}}
        host = self.hosts[self.drops % len(self.hosts)]
        async with host.stream("GET", f"/api/runs/{self.run_id}/stream", **told) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for frame in frames(answer):
                if "event" not in frame:
                    continue
                self._take(frame)
                if frame["event"] == "end":
                    return True
                left -= 1
                if not left:
                    return False
        return False

    def _take(self, frame: dict[str, str]) -> None:
        name, data = frame["event"], json.loads(frame["data"])
        if "id" in frame and name not in NO_EVENTS:
            self.seen.append(int(frame["id"]))
        # The note precedes its event, so a viewer that drops between them reads it again.
        if name == "branch" and data["to"] not in self.branches:
            self.branches.append(data["to"])
        elif name == "tasks":
            for task in data["tasks"]:
                self.texts[task["task_id"]] = "".join(chunk["text"] for chunk in task["chunks"])
                self.task_seq[task["task_id"]] = task["seq"]
        elif name == "rollback":
            self.texts[data["task_id"]] = ""
            self.rollbacks += 1
        elif name.startswith("task_"):
            self._take_of_task(name, data)

    def _take_of_task(self, name: str, data: dict[str, Any]) -> None:
        task_id = data["task_id"]
        assert data["seq"] == self.task_seq.get(task_id, -1) + 1, "an event of a task was missed or came twice"
        self.task_seq[task_id] = data["seq"]
        if name == "task_chunk":
            self.texts[task_id] = self.texts.get(task_id, "") + "".join(one["text"] for one in data["data"]["chunks"])
        elif name == "task_completed":
            self.finished[task_id] = self.texts.get(task_id, "")


@dataclass
class Driver:
    """What an owner, a worker and the engine do with the run, at the pace of its viewers."""

    client: httpx2.AsyncClient
    database: Database
    run: dict[str, Any]
    viewers: list[Viewer]
    chance: random.Random
    owner: str = ""
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"/api/runs/{self.run['id']}"

    async def refresh(self) -> dict[str, Any]:
        self.run = (await self.client.get(self.path)).json()
        return self.run

    async def note(self, count: int) -> None:
        """Let *count* things happen in the run, and wait for viewers that are far behind."""
        events = EventRepository(self.database)
        while count > 0:
            some = min(count, self.chance.randint(1, 20))
            new = [NewRunEvent(type=DbEventType.OUTPUT_STORED, step="talk", data={"n": n}) for n in range(some)]
            await self.refresh()
            stored = await events.append(self.run["id"], new, owner_id=self.owner, branch_id=self.run["branch_id"])
            count -= some
            await self.near(stored[-1].seq - LEAD)

    async def near(self, seq: int) -> None:
        """Wait until every viewer has seen event *seq*."""
        while any(viewer.seen[-1] < seq for viewer in self.viewers):
            await asyncio.sleep(0.005)

    async def answer(self, text: str) -> None:
        asked = (await self.refresh())["question"]["interaction_id"]
        said = await self.client.post(f"{self.path}/interactions/{asked}/answer", json={"response": {"value": text}})
        assert said.status_code == 200, said.text
        self.run = said.json()

    async def back(self, way: str, module: str) -> None:
        went = await self.client.post(f"{self.path}/{way}", json={"module": module})
        assert went.status_code == 200, went.text

    async def work(self, word: str) -> None:
        """Do the run's task as a worker whose first attempt breaks, while other things happen in the run."""
        queue = TaskQueue(self.database)
        lease = await self._attempt(queue, "bad")
        await queue.fail(lease, "Broken", "no", retry_in=timedelta(0))
        await queue.promote()
        lease = await self._attempt(queue, word)
        self.texts[lease.task_id] = word * 12
        await self.near((await self.refresh())["last_seq"])
        await queue.complete(lease, {"said": word})
        while (await self.refresh())["question"] is None:
            await asyncio.sleep(0.02)

    async def _attempt(self, queue: TaskQueue, word: str) -> Lease:
        task = await self._claimed(queue)
        lease = Lease.of(task)
        await queue.append_events(lease, [NewEvent(type=TaskEventType.STARTED)], seq=task.event_count)
        for number in range(12):
            chunk = NewEvent(type=TaskEventType.CHUNK, data={"chunks": [{"text": word}]})
            await queue.append_events(lease, [chunk], seq=task.event_count + 1 + number)
            await self.note(self.chance.randint(0, 6))
        return lease

    async def _claimed(self, queue: TaskQueue) -> Task:
        while not (tasks := await queue.claim(CLAIMER)):
            await asyncio.sleep(0.02)
        return tasks[0]


async def lived_through(driver: Driver) -> None:
    """Let the run have two jumps, a retry and three tasks, and some two thousand events."""
    await driver.answer("tides")
    await driver.work("sea ")
    await driver.note(500)
    await driver.back("jump", "topic")
    await driver.note(300)
    await driver.answer("moons")
    await driver.work("sky ")
    await driver.note(300)
    await driver.back("retry", "work")
    await driver.work("dust ")
    await driver.note(300)
    await driver.back("jump", "mood")
    await driver.note(EVENTS - (await driver.refresh())["last_seq"] - 3)
    await driver.answer("fine")


@pytest.mark.timeout(300)
async def test_dropped_viewers_see_each_event_once_at_two_hosts(
    serve: Serve, make_client: MakeClient, client: httpx2.AsyncClient, start: Start, frames: Frames, database: Database
) -> None:
    key = client.headers["Authorization"].removeprefix("Bearer ")
    hosts = (client, await make_client(key=key, base_url=await serve()))
    asks = [{"id": name, "type": "user.text_input@1", "in": {"title": name}} for name in ("topic", "mood")]
    steps = [{"id": "talk", "modules": [asks[0], WORK, asks[1]]}]
    run = await start(definition={"name": "long_talk", "steps": steps})
    viewers = [Viewer(hosts[:: 1 - 2 * (n % 2)], run["id"], random.Random(n)) for n in range(VIEWERS)]
    driver = Driver(client, database, run, viewers, random.Random(VIEWERS))
    stored = await database.collection("workflow_runs").find_one({"_id": run["id"]})
    driver.owner = str((stored or {})["owner_id"])

    async with asyncio.timeout(220), asyncio.TaskGroup() as group:
        for viewer in viewers:
            group.create_task(viewer.watch(frames))
        await lived_through(driver)

    last = (await driver.refresh())["last_seq"]
    late = Viewer(hosts, run["id"], random.Random(99), most=100)
    async with asyncio.timeout(60):
        await late.watch(frames)
    assert last >= EVENTS
    assert len(driver.texts) == 3
    assert sum(viewer.drops for viewer in viewers) >= DROPS
    for viewer in [*viewers, late]:
        assert viewer.seen == list(range(-1, last + 1))
        assert len(viewer.branches) == 2
        assert all(driver.texts[task_id] == text for task_id, text in viewer.finished.items())
    assert any(viewer.finished for viewer in viewers)
    assert any(viewer.rollbacks for viewer in viewers)
