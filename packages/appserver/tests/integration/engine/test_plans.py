"""Plans of going back over the real service: what a dry run tells is what is then in the log and in the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from appdb import ChangeFeed, Claimer, Database, Lease, TaskQueue
from appdb.models import CallUsage, RunEvent, RunView, TaskFilter
from appserver.engine.core.plan import GoingBackPlan
from appserver.engine.runner.going_back import FindWay
from appserver.engine.runner.loop import EngineLoop
from appserver.engine.runner.stores import EngineStores
from appserver.engine.service import EngineService, NewStart
from appserver.modules.builtin import host_registry
from appsupport.mongo.running_feed import running_feed

OWNER = "usr_a"
SOON = 20
CLAIMER = Claimer(worker_id="w", queues=("default",), handlers=("work@1",))


def ask(name: str) -> dict[str, Any]:
    return {"id": name, "type": "user.text_input@1", "in": {"title": name}}


def work(name: str, say: Any, **more: Any) -> dict[str, Any]:
    inputs = {"actor": "work", "payload": {"say": say}, "max_attempts": 1, "estimate": "0.25"}
    return {"id": name, "type": "task.run@1", "in": inputs, **more}


MAP = {
    "id": "all",
    "type": "flow.map@1",
    "in": {"items": ["a", "bad", "c"], "at_once": 3, "run": work("one", "{{ item }}")},
}


class Hosted:
    """A service with its loop, and a worker that does tasks when it is told to."""

    def __init__(self, database: Database, feed: ChangeFeed) -> None:
        self.queue, registry = TaskQueue(database), host_registry()
        self.stores = EngineStores.of(database, self.queue)
        self.service = EngineService(self.stores, registry)
        service = self.service
        self.loop = EngineLoop(service.advancer, service.looks, TaskQueue(database), feed, registry, 4)
        self.done: list[str] = []
        self.run_id = ""

    async def start(self, *modules: dict[str, Any]) -> RunView:
        definition = {"name": "planned", "steps": [{"id": "only", "modules": list(modules)}]}
        view, _ = await self.service.start(NewStart(owner_id=OWNER, definition=definition))
        self.run_id = view.run.id
        return view

    async def answer(self, value: str) -> RunView:
        view = await self.service.view(self.run_id, owner_id=OWNER)
        assert view.state.pending is not None
        asked = view.state.pending.data["interaction_id"]
        return await self.service.respond(self.run_id, asked, {"value": value}, owner_id=OWNER)

    async def work(self, *, count: int = 1, bad: bool = True, cost: str | None = None) -> None:
        """Do the next *count* tasks; each records that it has cost so much."""
        async with asyncio.timeout(SOON):
            while count:
                for task in await self.queue.claim(CLAIMER, limit=count):
                    count -= 1
                    say = str(task.payload["say"])
                    self.done.append(say)
                    if cost is not None:
                        used = CallUsage(provider="p", model="m", operation="work", cost=Decimal(cost))
                        await self.stores.usage.record_for_task(Lease.of(task), task, "call", used)
                    if bad and say == "bad":
                        await self.queue.fail(Lease.of(task), "Broken", "no", retry_in=None)
                    else:
                        await self.queue.complete(Lease.of(task), {"said": say})

    async def until(self, module: str | None, status: str) -> RunView:
        async with asyncio.timeout(SOON):
            while True:
                view = await self.service.view(self.run_id, owner_id=OWNER)
                if view.run.status.value == status and (module is None or view.state.position.module == module):
                    return view
                await asyncio.sleep(0.02)

    async def back(self, find: FindWay) -> GoingBackPlan:
        """Plan a way back and go it; check that nothing is written by the plan, and that all that it tells is done."""
        before = await self.service.view(self.run_id, owner_id=OWNER)
        planned = await self.service.returner.planned(self.run_id, OWNER, find)
        again = await self.service.view(self.run_id, owner_id=OWNER)
        assert again.run.event_count == before.run.event_count
        open_before = await self._open_tasks()

        went = await self.service.returner.go(self.run_id, OWNER, find, last_seq=before.run.event_count - 1)

        assert _told(went.plan) == _told(planned)
        stopped = open_before - await self._open_tasks()
        assert stopped == set(planned.tasks_stop) & open_before
        for child in planned.children_stop:
            assert (await self.stores.runs.get(child, owner_id=OWNER)).status.value == "cancelled"
        return planned

    async def events_since(self, seq: int) -> list[RunEvent]:
        return list(await self.stores.events.log(self.run_id, owner_id=OWNER, after=seq, limit=500))

    async def spent(self) -> Decimal:
        return (await self.stores.usage.totals(owner_id=OWNER)).user.cost

    async def _open_tasks(self) -> set[str]:
        found = await self.queue.find(TaskFilter(owner_id=OWNER, run_id=self.run_id), limit=200)
        return {task.id for task in found if not task.state.final and task.queue != "engine"}


def _told(plan: GoingBackPlan) -> tuple[object, ...]:
    cost = plan.estimated_cost, plan.without_estimate
    return (plan.runs_again, plan.reused, plan.tasks_stop, plan.children_stop, *cost)


def ran(events: list[RunEvent]) -> tuple[set[str], set[str]]:
    """Return the modules that ran, and those whose completions were taken over."""
    starts = [event for event in events if event.type.value == "module_started"]
    again = {str(event.module) for event in starts if "reused_from" not in event.data}
    return again, {str(event.module) for event in starts if "reused_from" in event.data}


@pytest.fixture
async def hosted(database: Database) -> AsyncIterator[Hosted]:
    async with running_feed(database, events=True, runs=True) as feed:
        made = Hosted(database, feed)
        looping = asyncio.create_task(made.loop.run())
        try:
            yield made
        finally:
            made.loop.stop()
            looping.cancel()
            await asyncio.gather(looping, return_exceptions=True)


REUSED = (
    ask("topic"),
    work("free", "same", reuse=True),
    work("bound", "{{ modules.topic.value }}", reuse=True),
    ask("last"),
)


async def at_last_question(hosted: Hosted) -> RunView:
    await hosted.start(*REUSED)
    await hosted.answer("tides")
    await hosted.work(count=2)
    return await hosted.until("last", "awaiting_input")


@pytest.mark.parametrize("way", ["retry", "jump", "branch"])
async def test_module_with_same_inputs_is_not_done_twice(hosted: Hosted, way: str) -> None:
    view = await at_last_question(hosted)
    asked = next(event for event in await hosted.events_since(-1) if event.type.value == "interaction_requested")
    ways = hosted.service.ways
    find = {
        "retry": ways.retry("topic", {}, {}, failed_only=False),
        "jump": ways.jump("topic", {}),
        "branch": ways.branch_from(str(asked.data["interaction_id"])),
    }[way]

    planned = await hosted.back(find)
    await hosted.until("topic", "awaiting_input")
    await hosted.answer("tides")
    await hosted.until("last", "awaiting_input")

    again, taken = ran(await hosted.events_since(view.run.event_count - 1))
    certain = {one.module for one in planned.runs_again if not one.unless_same}
    assert certain <= again
    assert set(planned.reused) <= taken == {"free", "bound"}
    assert hosted.done == ["same", "tides"]


async def test_module_with_other_inputs_is_done_again(hosted: Hosted) -> None:
    view = await at_last_question(hosted)

    planned = await hosted.back(hosted.service.ways.retry("topic", {}, {}, failed_only=False))
    await hosted.answer("moons")
    await hosted.work()
    await hosted.until("last", "awaiting_input")

    again, taken = ran(await hosted.events_since(view.run.event_count - 1))
    assert (set(planned.reused), taken) == ({"free"}, {"free"})
    assert {one.module for one in planned.runs_again} == again
    assert hosted.done == ["same", "tides", "moons"]


async def test_retry_with_inputs_stops_open_task(hosted: Hosted) -> None:
    await hosted.start(work("slow", "first"))
    find = hosted.service.ways.retry("slow", {}, {"payload": {"say": "second"}}, failed_only=False)

    planned = await hosted.back(find)
    await hosted.work()
    await hosted.until(None, "completed")

    assert (len(planned.tasks_stop), planned.estimated_cost) == (1, Decimal("0.25"))
    assert hosted.done == ["second"]


async def test_failed_items_alone_are_done_again(hosted: Hosted) -> None:
    await hosted.start(MAP)
    await hosted.work(count=3)
    view = await hosted.until(None, "error")

    planned = await hosted.back(hosted.service.ways.retry("all", {}, {}, failed_only=True))
    await hosted.work(bad=False)
    await hosted.until(None, "completed")

    again, _ = ran(await hosted.events_since(view.run.event_count - 1))
    assert {one.module for one in planned.runs_again} == again == {"all"}
    assert planned.estimated_cost == Decimal("0.25")
    assert sorted(hosted.done) == ["a", "bad", "bad", "c"]


async def test_switch_and_reset_stop_what_is_open(hosted: Hosted) -> None:
    first = await hosted.start(ask("topic"), work("slow", "{{ modules.topic.value }}"))
    await hosted.answer("tides")
    jumped = await hosted.back(hosted.service.ways.jump("topic", {}))
    await hosted.answer("moons")

    switched = await hosted.back(hosted.service.ways.switch(first.run.branch_id))
    reset = await hosted.back(hosted.service.ways.reset(None))
    await hosted.answer("dust")
    await hosted.work()
    await hosted.until(None, "completed")

    assert [len(one.tasks_stop) for one in (jumped, switched, reset)] == [1, 1, 1]
    assert [one.module for one in switched.runs_again] == ["slow"]
    assert hosted.done == ["dust"]


async def test_move_and_reset_stop_child_run(hosted: Hosted) -> None:
    part = {"id": "part", "type": "flow.child@1", "in": {"run": [ask("inner")]}}
    await hosted.start(part)
    changed = {"name": "planned", "steps": [{"id": "only", "modules": [part, ask("more")]}]}
    _, saved = await hosted.service.workflows.save(changed, owner_id=OWNER)

    moved = await hosted.back(hosted.service.ways.move(saved.id))
    view = await hosted.service.view(hosted.run_id, owner_id=OWNER)
    reset = await hosted.back(hosted.service.ways.reset(None))

    assert view.run.version_id == saved.id
    assert (len(moved.children_stop), len(reset.children_stop)) == (1, 1)
    children = await hosted.stores.runs.children(hosted.run_id, owner_id=OWNER)
    assert [child.status.value for child in children].count("cancelled") == 2


DEEP = {"id": "deep", "type": "flow.child@1", "in": {"run": [work("two", "{{ modules.one.result.said }}")]}}
PARTS: dict[str, Any] = {
    "id": "all",
    "type": "flow.map@1",
    "in": {"items": ["a", "bad", "c"], "run": [work("one", "{{ item }}"), DEEP]},
}


@pytest.mark.parametrize(("cost", "each"), [("0.10", "0.10"), (None, "0.25")], ids=["recorded", "estimated"])
async def test_parts_of_map_cost_what_their_runs_did(hosted: Hosted, cost: str | None, each: str) -> None:
    """Each part is a run with a task, and a run below it with another."""
    await hosted.start(PARTS)
    await hosted.work(count=6, bad=False, cost=cost)
    await hosted.until(None, "completed")
    spent = await hosted.spent()

    planned = await hosted.back(hosted.service.ways.retry("all", {}, {}, failed_only=False))
    await hosted.work(count=6, bad=False, cost=each)
    await hosted.until(None, "completed")

    assert planned.without_estimate == ()
    assert planned.estimated_cost == 6 * Decimal(each) == await hosted.spent() - spent


async def test_failed_part_alone_costs_again(hosted: Hosted) -> None:
    await hosted.start(PARTS | {"in": PARTS["in"] | {"complete_when": {"tolerated_failures": 1}}})
    await hosted.work(count=5, cost="0.10")
    await hosted.until(None, "completed")
    spent = await hosted.spent()

    planned = await hosted.back(hosted.service.ways.retry("all", {}, {}, failed_only=True))
    await hosted.work(count=2, bad=False, cost="0.25")
    await hosted.until(None, "completed")

    # It stopped at the first of its tasks, of which what it does at least is known; more than that is not.
    assert (planned.estimated_cost, planned.without_estimate) == (Decimal("0.25"), ("all",))
    assert planned.estimated_cost <= await hosted.spent() - spent
    assert sorted(hosted.done) == ["a", "a", "bad", "bad", "bad", "c", "c"]


async def test_part_that_is_gone_is_of_unknown_cost(hosted: Hosted) -> None:
    await hosted.start(PARTS)
    await hosted.work(count=6, bad=False, cost="0.10")
    await hosted.until(None, "completed")
    first, *_ = await hosted.stores.runs.children(hosted.run_id, owner_id=OWNER)
    await hosted.service.delete(first.id, owner_id=OWNER)

    planned = await hosted.back(hosted.service.ways.retry("all", {}, {}, failed_only=False))

    assert (planned.estimated_cost, planned.without_estimate) == (Decimal("0.40"), ("all",))
