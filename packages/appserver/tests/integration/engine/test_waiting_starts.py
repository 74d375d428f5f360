"""Starts that wait: each begins once, in order, when the run before it ends, whichever host ends it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from appdb import Claimer, ConflictError, Database, DbEventType, NotFoundError, TaskQueue
from appdb.host import handler
from appdb.models import LIVE_STATES, RunStatus, RunView, TaskFilter
from appserver.engine.core.engine_tasks import ADVANCE, QUEUE, look
from appserver.engine.runner.loop import EngineLoop
from appserver.engine.runner.stores import EngineStores
from appserver.engine.service import EngineService, NewStart
from appserver.errors import ActionRefusedError, InvalidAnswerError, RunOpenError, TooManyWaitingError
from appserver.modules.builtin import host_registry
from appsupport.mongo.running_feed import running_feed

E = DbEventType
OWNER = "usr_a"
SOON = 30
ROUNDS = 50
MOST = 100
PROJECT = "film"
LOOKS = Claimer(worker_id="dying", queues=(QUEUE,), handlers=(handler(ADVANCE, 1),))


def workflow(*modules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"format": 1, "name": "works", "steps": [{"id": "work", "modules": list(modules)}], **changes}


ASKS = workflow({"id": "topic", "type": "user.text_input@1", "in": {"title": "What?"}})
HEARS = workflow({"id": "news", "type": "flow.signal@1", "in": {"name": "news"}})
GIVES = workflow({"id": "both", "type": "transform.concat@1", "in": {"lists": [["a"], ["b"]]}})


class Host:
    """A host of the engine; its loop runs where a test says so."""

    def __init__(self, database: Database) -> None:
        self.queue = TaskQueue(database)
        self.stores = EngineStores.of(database, self.queue)
        self.registry = host_registry()
        self.engine = EngineService(self.stores, self.registry)
        self._database = database

    async def work(self, stack: AsyncExitStack) -> None:
        """Claim the engine's tasks until *stack* ends."""
        feed = await stack.enter_async_context(running_feed(self._database, events=False, runs=True))
        engine = self.engine
        loop = EngineLoop(engine.advancer, engine.looks, TaskQueue(self._database), feed, self.registry, slots=4)
        running = asyncio.create_task(loop.run())

        async def stop() -> None:
            loop.stop()
            await running

        stack.push_async_callback(stop)

    async def start(self, project: str = PROJECT, when_open: Any = "enqueue", **changes: Any) -> RunView:
        start = NewStart(owner_id=OWNER, project=project, when_open=when_open, **{"definition": ASKS, **changes})
        view, _ = await self.engine.start(start)
        return view

    async def answer(self, view: RunView) -> RunView:
        now = await self.engine.view(view.run.id, owner_id=OWNER)
        assert now.state.pending is not None
        asked = now.state.pending.data["interaction_id"]
        return await self.engine.respond(view.run.id, asked, {"value": "x"}, owner_id=OWNER)

    async def status(self, view: RunView) -> RunStatus:
        return (await self.engine.view(view.run.id, owner_id=OWNER)).run.status

    async def reaches(self, view: RunView, status: RunStatus) -> None:
        async with asyncio.timeout(SOON):
            while await self.status(view) is not status:
                await asyncio.sleep(0.01)

    async def types(self, view: RunView) -> list[DbEventType]:
        return [event.type for event in await self.stores.events.log(view.run.id, owner_id=OWNER)]


End = Callable[[Host, RunView], Awaitable[object]]


async def answered(host: Host, view: RunView) -> None:
    await host.answer(view)


async def cancelled(host: Host, view: RunView) -> None:
    await host.engine.cancel(view.run.id, owner_id=OWNER)


async def deleted(host: Host, view: RunView) -> None:
    await host.engine.delete(view.run.id, owner_id=OWNER)


ENDS = pytest.mark.parametrize("end", [answered, cancelled, deleted])


@pytest.fixture
def host(database: Database) -> Host:
    """A host whose loop does not run."""
    return Host(database)


@pytest.fixture
async def hosts(database: Database, mongo_uri: str) -> AsyncIterator[list[Host]]:
    """Two hosts at work, which share nothing but the database."""
    async with AsyncExitStack() as stack:
        made = [Host(await stack.enter_async_context(Database(mongo_uri, database.name))) for _ in range(2)]
        for one in made:
            await one.work(stack)
        yield made


@ENDS
async def test_waiting_starts_begin_in_order_of_acceptance(hosts: list[Host], end: End) -> None:
    one, other = hosts
    first = await one.start()
    waiting = [await hosts[number % 2].start() for number in range(4)]
    assert [view.run.status for view in (first, *waiting)] == [RunStatus.AWAITING_INPUT, *[RunStatus.WAITING] * 4]
    before = first
    for number, view in enumerate(waiting):
        await end(hosts[number % 2], before)
        await other.reaches(view, RunStatus.AWAITING_INPUT)
        assert [await one.status(later) for later in waiting[number + 1 :]] == [RunStatus.WAITING] * (3 - number)
        before = view


async def test_starts_that_end_at_once_follow_each_other(hosts: list[Host]) -> None:
    first = await hosts[0].start()
    waiting = [await hosts[1].start(definition=GIVES) for _ in range(5)]
    await hosts[0].answer(first)

    for view in waiting:
        await hosts[0].reaches(view, RunStatus.COMPLETED)
    ended = [(await hosts[0].engine.view(view.run.id, owner_id=OWNER)).run.completed_at for view in waiting]
    assert ended == sorted(one for one in ended if one is not None)


@ENDS
async def test_race_of_end_and_start_loses_and_doubles_nothing(hosts: list[Host], end: End) -> None:
    one, other = hosts
    for number in range(ROUNDS):
        project = f"film {number}"
        first = await one.start(project)

        _, raced = await asyncio.gather(end(one, first), other.start(project))

        await one.reaches(raced, RunStatus.AWAITING_INPUT)
        again = look(OWNER, raced.run.id)
        await one.queue.enqueue_many([again, again])
        live = TaskFilter(owner_id=OWNER, run_id=raced.run.id, states=LIVE_STATES)
        async with asyncio.timeout(SOON):
            while await one.queue.find(live):
                await asyncio.sleep(0.01)
        types = Counter(await one.types(raced))
        assert (types[E.MODULE_STARTED], types[E.INTERACTION_REQUESTED], types[E.WORKFLOW_CREATED]) == (1, 1, 1)
        assert types[E.WORKFLOW_WAITING] == types[E.WORKFLOW_RESUMED]


async def test_start_begins_although_hosts_die_between(host: Host, database: Database) -> None:
    """The host that ends the run dies at once, and so does the one that claims the look for the next."""
    first, behind = await host.start(), await host.start()
    await host.answer(first)
    assert await host.status(behind) is RunStatus.PROCESSING
    claimed = await TaskQueue(database, lease=timedelta(milliseconds=1)).claim(LOOKS)
    assert [task.run_id for task in claimed] == [behind.run.id]

    async with AsyncExitStack() as stack:
        later = Host(database)
        await later.work(stack)
        assert len(await later.queue.recover()) == 1
        await later.reaches(behind, RunStatus.AWAITING_INPUT)

    assert Counter(await host.types(behind))[E.INTERACTION_REQUESTED] == 1


async def test_waiting_start_that_is_cancelled_never_begins(hosts: list[Host]) -> None:
    first = await hosts[0].start()
    given_up, last = await hosts[0].start(), await hosts[1].start()
    view = await hosts[1].engine.cancel(given_up.run.id, owner_id=OWNER)
    await hosts[0].answer(first)
    await hosts[0].reaches(last, RunStatus.AWAITING_INPUT)

    assert view.run.status is RunStatus.CANCELLED
    assert await hosts[0].types(given_up) == [E.WORKFLOW_CREATED, E.WORKFLOW_WAITING, E.WORKFLOW_CANCELLED]


async def test_start_in_place_of_open_run_begins_before_those_that_wait(hosts: list[Host]) -> None:
    one, other = hosts
    first, behind = await one.start(), await other.start()
    urgent = await other.start(when_open="cancel_and_start")

    assert urgent.run.status is RunStatus.AWAITING_INPUT
    assert [await one.status(view) for view in (first, behind)] == [RunStatus.CANCELLED, RunStatus.WAITING]
    await one.answer(urgent)
    await one.reaches(behind, RunStatus.AWAITING_INPUT)


async def test_start_in_place_of_open_run_that_ends_meanwhile_begins_too(hosts: list[Host]) -> None:
    for number in range(10):
        project = f"film {number}"
        first = await hosts[0].start(project)

        _, urgent = await asyncio.gather(
            hosts[0].answer(first), hosts[1].start(project, when_open="cancel_and_start"), return_exceptions=True
        )

        assert isinstance(urgent, RunView)
        assert (urgent.run.status, await hosts[0].status(first) in (RunStatus.CANCELLED, RunStatus.COMPLETED)) == (
            RunStatus.AWAITING_INPUT,
            True,
        )


async def test_start_without_waiting_is_refused_while_others_wait(host: Host) -> None:
    first = await host.start()
    await host.start()
    with pytest.raises(RunOpenError):
        await host.start(when_open="reject")
    await host.answer(first)

    with pytest.raises(RunOpenError):
        await host.start(when_open="reject")


async def test_failed_run_keeps_starts_waiting_until_it_is_given_up(hosts: list[Host]) -> None:
    fails = workflow({"id": "bad", "type": "transform.extract@1", "in": {"value": {}, "paths": {"a": "b"}}})
    first, behind = await hosts[0].start(definition=fails), await hosts[1].start()
    assert (first.run.status, await hosts[0].status(behind)) == (RunStatus.ERROR, RunStatus.WAITING)

    await hosts[1].engine.cancel(first.run.id, owner_id=OWNER)
    await hosts[0].reaches(behind, RunStatus.AWAITING_INPUT)


async def test_what_can_be_refused_is_refused_at_the_call(host: Host) -> None:
    asked = ASKS | {"input": {"type": "object", "required": ["n"]}}
    await host.start()

    with pytest.raises(InvalidAnswerError):
        await host.start(definition=asked)
    with pytest.raises(NotFoundError):
        await host.start(definition=None, version_id="ver_unknown")
    assert await host.stores.runs.page(owner_id=OWNER, statuses=[RunStatus.WAITING]) == []


async def test_same_key_gives_same_waiting_run(host: Host) -> None:
    await host.start()
    views = [await host.start(key="k") for _ in range(2)]

    assert views[0].run == views[1].run
    with pytest.raises(ConflictError, match="its id is taken"):
        await host.start(key="k", input={"a": 1})


async def test_too_many_waiting_starts_are_refused(host: Host) -> None:
    await host.start()
    for _ in range(MOST):
        await host.start()

    with pytest.raises(TooManyWaitingError, match="100 wait already") as refused:
        await host.start()
    assert refused.value.facts == {"code": "too_many_waiting", "project": PROJECT}


async def test_message_before_beginning_is_kept_and_taken(hosts: list[Host]) -> None:
    first = await hosts[0].start()
    behind = await hosts[1].start(definition=HEARS)
    view = await hosts[1].engine.signal(behind.run.id, "news", "it rains", owner_id=OWNER)
    assert view.run.status is RunStatus.WAITING
    await hosts[0].answer(first)

    await hosts[0].reaches(behind, RunStatus.COMPLETED)


async def test_look_and_going_back_leave_waiting_run_alone(host: Host) -> None:
    await host.start()
    behind = await host.start()
    run_id, ways = behind.run.id, host.engine.ways
    assert await host.engine.look(run_id, owner_id=OWNER) == behind

    for way in (ways.reset(None), ways.retry("topic", {}, {}, failed_only=False)):
        with pytest.raises(ActionRefusedError, match="waits for another"):
            await host.engine.returner.go(run_id, OWNER, way)
    assert await host.engine.view(run_id, owner_id=OWNER) == behind
