"""A map of many parts: their ends race with the engine, which looks once for many; nothing is done twice or lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from appdb import ChangeFeed, Claimer, Database, DbEventType, Lease, Task, TaskQueue, TaskState
from appdb.models import RunStatus, RunView, TaskFilter
from appserver.engine.core.engine_tasks import look
from appserver.engine.runner.loop import EngineLoop
from appserver.engine.runner.stores import EngineStores
from appserver.engine.service import EngineService, NewStart
from appserver.modules.builtin import host_registry
from appsupport.mongo.running_feed import running_feed

OWNER = "usr_many"
SOON = 120
COUNT = 300
ROUNDS = 40


def many(**more: Any) -> dict[str, Any]:
    part = {"id": "part", "type": "task.run@1", "in": {"actor": "work", "payload": {"say": "{{ item }}"}}}
    inputs = {"items": "{{ input.items }}", "run": part, **more}
    each = {"id": "each", "type": "flow.map@1", "in": inputs}
    output = {"results": "{{ modules.each.results }}", "succeeded": "{{ modules.each.succeeded }}"}
    return {"name": "many", "steps": [{"id": "only", "modules": [each]}], "output": output}


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[ChangeFeed]:
    async with running_feed(database, events=False, runs=True) as running:
        yield running


class Host:
    """A host with the engine's loop."""

    def __init__(self, database: Database, feed: ChangeFeed) -> None:
        self.queue, registry = TaskQueue(database), host_registry()
        self.stores = EngineStores.of(database, self.queue)
        self.service = EngineService(self.stores, registry)
        advancer, looks = self.service.advancer, self.service.looks
        self.loop = EngineLoop(advancer, looks, TaskQueue(database), feed, registry, 4)

    async def start(self, count: int, **more: Any) -> RunView:
        given: dict[str, JsonValue] = {"items": [f"word {number}" for number in range(count)]}
        start = NewStart(owner_id=OWNER, definition=many(**more), input=given)
        view, _ = await self.service.start(start)
        return view

    async def ended(self, run_id: str) -> RunView:
        async with asyncio.timeout(SOON):
            while (run := await self.stores.runs.get(run_id, owner_id=OWNER)).status is RunStatus.PROCESSING:
                await asyncio.sleep(0.05)
        assert run.status is RunStatus.COMPLETED
        return await self.service.view(run_id, owner_id=OWNER)

    async def looks_in(self, run_id: str, *states: TaskState) -> list[Task]:
        match = TaskFilter(owner_id=OWNER, run_id=run_id, actor="engine.advance", states=frozenset(states))
        return await self.queue.find(match, limit=500)


async def work(queue: TaskQueue, name: str, done: Counter[str]) -> None:
    """Claim parts and end each at once, beside the others; of three, one fails."""
    claimer = Claimer(worker_id=name, queues=("default",), handlers=("work@1",))

    async def end(task: Task) -> None:
        said = str(task.payload["say"])
        done[said] += 1
        if int(said.split()[1]) % 3 == 0:
            await queue.fail(Lease.of(task), "Broken", "it cannot be said", retry_in=None)
        else:
            await queue.complete(Lease.of(task), {"said": said})

    while True:
        tasks = await queue.claim(claimer, limit=16)
        await asyncio.gather(*map(end, tasks))
        await asyncio.sleep(0 if tasks else 0.02)


async def test_many_parts_race_and_each_is_done_once(database: Database, feed: ChangeFeed) -> None:
    hosts, done = [Host(database, feed), Host(database, feed)], Counter[str]()
    working = [work(TaskQueue(database), f"wrk_{number}", done) for number in range(2)]
    async with AsyncExitStack() as stack:
        for each in (*working, *(host.loop.run() for host in hosts)):
            running = asyncio.create_task(each)
            stack.callback(running.cancel)
        view = await hosts[0].start(COUNT, at_once=100, complete_when={"tolerated_failures": COUNT})
        ended = await hosts[1].ended(view.run.id)

    assert done == Counter({f"word {number}": 1 for number in range(COUNT)})
    events = hosts[0].stores.events
    last = await events.latest(view.run.id, DbEventType.WORKFLOW_COMPLETED, owner_id=OWNER)
    assert last is not None
    output = last.data["output"]
    assert output["succeeded"] == COUNT - len(range(0, COUNT, 3))
    said = [None if number % 3 == 0 else {"said": f"word {number}"} for number in range(COUNT)]
    assert [one and one["result"] for one in output["results"]] == said
    counted = Counter(sub.failed for sub in ended.state.sub_actions.values())
    assert counted == Counter({False: 200, True: 100})
    assert ended.run.event_count == 2 * COUNT + 6


async def test_one_look_ends_those_that_are_queued(database: Database, feed: ChangeFeed) -> None:
    """A hundred ends ask for a hundred looks; the first takes all ends, and none is left to look again."""
    host = Host(database, feed)
    view = await host.start(100, at_once=100, complete_when={"tolerated_failures": 100})
    claimer = Claimer(worker_id="wrk_1", queues=("default",), handlers=("work@1",))
    for task in await host.queue.claim(claimer, limit=100):
        await host.queue.complete(Lease.of(task), {"said": "so"})
    assert len(await host.looks_in(view.run.id, TaskState.QUEUED)) == 100

    looked = await host.service.looks.look(view.run.id, OWNER, "tq_look")

    assert looked is not None
    assert looked.run.status is RunStatus.COMPLETED
    assert await host.looks_in(view.run.id, TaskState.QUEUED, TaskState.CANCELLED) == []
    taken_over = await host.looks_in(view.run.id, TaskState.COMPLETED)
    assert [task.result for task in taken_over] == [{"taken_over_by": "tq_look"}] * 100


async def test_looks_that_are_claimed_or_wait_stay(database: Database, feed: ChangeFeed) -> None:
    """Whoever holds one has not said that it has read; and one that waits was for something that went wrong."""
    host = Host(database, feed)
    view = await host.start(1)
    await host.queue.enqueue_many([look(OWNER, view.run.id) for _ in range(3)])
    claimer = Claimer(worker_id="eng_1", queues=("engine",), handlers=("engine.advance@1",))
    held, later = await host.queue.claim(claimer, limit=2)
    await host.queue.fail(Lease.of(later), "Broken", "no", retry_in=timedelta(hours=1))

    await host.service.looks.look(view.run.id, OWNER, "tq_look")

    left = await host.looks_in(view.run.id, TaskState.QUEUED, TaskState.SCHEDULED, TaskState.PROCESSING)
    assert {task.id for task in left} == {held.id, later.id}


async def test_end_beside_looks_is_seen_or_looks_again(database: Database, feed: ChangeFeed) -> None:
    host, claimer = Host(database, feed), Claimer(worker_id="wrk_1", queues=("default",), handlers=("work@1",))
    chance, seen = random.Random(7), Counter[bool]()
    for _ in range(ROUNDS):
        view = await host.start(2)
        first, second = [Lease.of(task) for task in await host.queue.claim(claimer, limit=2)]
        await host.queue.complete(first, {"said": "one"})

        async def end_second(lease: Lease = second) -> None:
            await asyncio.sleep(chance.uniform(0, 0.02))
            await host.queue.complete(lease, {"said": "two"})

        looks = [host.service.looks.look(view.run.id, OWNER, "tq_look") for _ in range(3)]
        await asyncio.gather(end_second(), *looks)

        has_ended = (await host.stores.runs.get(view.run.id, owner_id=OWNER)).status is RunStatus.COMPLETED
        seen[has_ended] += 1
        assert has_ended or await host.looks_in(view.run.id, TaskState.QUEUED)
        await host.service.looks.look(view.run.id, OWNER, "tq_look")
        assert (await host.stores.runs.get(view.run.id, owner_id=OWNER)).status is RunStatus.COMPLETED
    assert len(seen) == 2, "the end came on both sides of the last read"
