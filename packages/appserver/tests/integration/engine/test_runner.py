"""The runner: what an advance costs, what a lost answer of the database changes, and who runs modules of packages."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, ClassVar, TypeVar

import pytest

from appdb import (
    ChangeFeed,
    Database,
    DatabaseUnavailableError,
    NotFoundError,
    StateRepository,
    TaskQueue,
    WorkflowRepository,
)
from appdb.models import Run, RunView
from appserver.engine.core.picture import Picture
from appserver.engine.core.ways_back import WayBack
from appserver.engine.runner.loop import EngineLoop
from appserver.engine.runner.stores import EngineStores
from appserver.engine.service import EngineService, NewStart
from appserver.errors import QuestionClosedError
from appserver.modules.builtin import BUILTIN, builtin_modules
from appserver.modules.contract import Done, Module, ModuleKind, Ports, Seen
from appserver.modules.registry import AnyModule, ModuleRegistry
from appsupport.mongo.round_trips import commands_sent
from appsupport.mongo.running_feed import running_feed

T = TypeVar("T")
OWNER = "usr_a"
SOON = 30


class Words(Ports):
    """A text."""

    text: str


class Shout(Module[Words, Words]):
    """Gives a text in capitals, slowly."""

    type = "acme.shout@2"
    kind = ModuleKind.INLINE
    Inputs = Words
    Outputs = Words
    example: ClassVar[Mapping[str, Any]] = {"text": "a"}

    def decide(self, inputs: Words, seen: Seen) -> Done:  # noqa: ARG002
        time.sleep(0.3)
        return Done(outputs={"text": inputs.text.upper()})


def workflow(*modules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"format": 1, "name": "works", "steps": [{"id": "work", "modules": list(modules)}], **changes}


def asks(name: str) -> dict[str, Any]:
    return {"id": name, "type": "user.text_input@1", "in": {"title": name}}


def service(database: Database, *modules: AnyModule) -> EngineService:
    registry = ModuleRegistry([*builtin_modules(), *modules], inline=BUILTIN)
    return EngineService(EngineStores.of(database, TaskQueue(database)), registry)


async def answered(engine: EngineService, view: RunView, value: str) -> RunView:
    assert view.state.pending is not None
    asked = view.state.pending.data["interaction_id"]
    return await engine.respond(view.run.id, asked, {"value": value}, owner_id=OWNER)


async def test_move_of_a_run_that_goes_on_meanwhile_is_planned_again(database: Database) -> None:
    engine, other = service(database), service(database)
    _, new = await engine.workflows.save(workflow({**asks("a"), "in": {"title": "anew"}}), owner_id=OWNER)
    run, _ = await engine.start(NewStart(owner_id=OWNER, definition=workflow(asks("a"))))
    run = await answered(engine, run, "x")
    move, jump, tries = engine.ways.move(new.id), other.ways.jump("a", {}), 0

    async def find(picture: Picture) -> WayBack:
        nonlocal tries
        tries += 1
        if tries == 1:
            await other.returner.go(run.run.id, OWNER, jump)
        return await move(picture)

    went = await engine.returner.go(run.run.id, OWNER, find)

    # What a module of the old version asks is asked again as the new one has it.
    assert (tries, [rerun.module for rerun in went.plan.runs_again]) == (2, ["a"])
    assert went.view.state.pending is not None
    assert (went.view.run.version_id, went.view.state.pending.data["title"]) == (new.id, "anew")


async def test_starts_of_one_workflow_at_once_do_not_begin_again(database: Database) -> None:
    engine = service(database)
    template, _ = await engine.workflows.save(workflow(asks("a")), owner_id=OWNER)
    start = NewStart(owner_id=OWNER, template_id=template.id)

    with commands_sent() as sent:
        started = await asyncio.gather(*(engine.start(start) for _ in range(32)))

    assert len({view.run.id for view, made in started if made}) == 32
    assert Counter(sent)["commitTransaction"] == 32
    assert "abortTransaction" not in sent


async def test_way_back_that_was_too_slow_is_planned_again_before_a_majority_knows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, other = service(database), service(database)
    run, _ = await engine.start(NewStart(owner_id=OWNER, definition=workflow(asks("a"), asks("b"))))
    run = await answered(engine, run, "x")
    again, quicker, tries = engine.ways.retry("a", {}, {}, failed_only=False), other.ways.jump("a", {}), 0

    async def find(picture: Picture) -> WayBack:
        nonlocal tries
        tries += 1
        if tries == 1:
            await other.returner.go(run.run.id, OWNER, quicker)
            monkeypatch.setattr(WorkflowRepository, "get", lagging)
        return await again(picture)

    get, before = WorkflowRepository.get, await engine.view(run.run.id, owner_id=OWNER)

    async def lagging(runs: WorkflowRepository, run_id: str, **options: Any) -> Run:
        monkeypatch.undo()
        found = await get(runs, run_id, **options)
        return found if "session" in options else before.run

    went = await engine.returner.go(run.run.id, OWNER, find)

    assert tries == 2
    assert went.view.state.pending is not None
    assert (went.view.state.pending.module, went.view.run.branch_id != run.run.branch_id) == ("a", True)


TRANSACTION = ["findAndModify", "insert", "commitTransaction"]


async def test_answer_costs_one_transaction_and_no_read(database: Database) -> None:
    engine = service(database)
    view, _ = await engine.start(NewStart(owner_id=OWNER, definition=workflow(*map(asks, "abc"))))
    view = await answered(engine, view, "x")

    with commands_sent() as sent:
        await answered(engine, view, "y")

    assert sent == TRANSACTION


async def test_answer_behind_another_hosts_costs_two_reads(database: Database) -> None:
    engine, other = service(database), service(database)
    view, _ = await engine.start(NewStart(owner_id=OWNER, definition=workflow(*map(asks, "abc"))))
    view = await answered(other, view, "x")

    with commands_sent() as sent:
        await answered(engine, view, "y")

    assert sent == ["find", "aggregate", *TRANSACTION]


async def test_run_of_two_hosts_is_presumed_wrongly_once(database: Database) -> None:
    engine, other = service(database), service(database)
    view, _ = await engine.start(NewStart(owner_id=OWNER, definition=workflow(asks("a"))))
    costs = []
    for name in ("first", "second"):
        await other.signal(view.run.id, name, "of the other", owner_id=OWNER)
        with commands_sent() as sent:
            view = await engine.signal(view.run.id, name, "of this one", owner_id=OWNER)
        costs.append(sent)

    reads = ["find", "aggregate", *TRANSACTION]
    assert costs == [["findAndModify", "abortTransaction", *reads], reads]
    assert [kept.data["payload"] for kept in view.state.signals] == ["of the other", "of this one"] * 2


async def test_nothing_is_told_of_a_run_that_was_only_presumed(database: Database) -> None:
    engine, other = service(database), service(database)
    view, _ = await engine.start(NewStart(owner_id=OWNER, definition=workflow(*map(asks, "abc"))))
    stale = await answered(engine, view, "x")
    assert stale.state.pending is not None
    newest = await answered(other, stale, "y")

    with pytest.raises(QuestionClosedError) as late:
        await answered(engine, stale, "z")
    assert late.value.accepted is not None
    again = await answered(engine, stale, "y")

    assert late.value.accepted.response == {"value": "y"}
    assert (again.state.seq, again.state.pending) == (newest.state.seq, newest.state.pending)


async def test_host_that_goes_back_itself_presumes_the_run_again(database: Database) -> None:
    engine = service(database)
    view, _ = await engine.start(NewStart(owner_id=OWNER, definition=workflow(*map(asks, "abc"))))
    await answered(engine, view, "x")
    view = (await engine.returner.go(view.run.id, OWNER, engine.ways.jump("a", {}))).view

    with commands_sent() as sent:
        await answered(engine, view, "y")

    assert sent == TRANSACTION


async def test_run_behind_an_answer_is_told_as_it_is_stored(database: Database) -> None:
    engine, runs = service(database), WorkflowRepository(database)
    view, _ = await engine.start(NewStart(owner_id=OWNER, definition=workflow(*map(asks, "abc"))))
    for value in "xyz":
        view = await answered(engine, view, value)

        assert view.run == await runs.get(view.run.id, owner_id=OWNER)
    assert view.run.completed_at is not None


async def test_owner_alone_is_answered_from_what_is_kept(database: Database) -> None:
    engine = service(database)
    view, _ = await engine.start(NewStart(owner_id=OWNER, definition=workflow(*map(asks, "ab"))))
    assert view.state.pending is not None
    asked = view.state.pending.data["interaction_id"]

    with pytest.raises(NotFoundError):
        await engine.respond(view.run.id, asked, {"value": "x"}, owner_id="usr_b")
    await engine.delete(view.run.id, owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await engine.respond(view.run.id, asked, {"value": "x"}, owner_id=OWNER)


@pytest.mark.parametrize("seed", range(6))
async def test_hosts_that_take_turns_see_each_state_as_it_is_stored(database: Database, seed: int) -> None:
    chance, hosts = random.Random(seed), [service(database), service(database)]
    names = [f"m{number}" for number in range(5)]
    view, _ = await hosts[0].start(NewStart(owner_id=OWNER, definition=workflow(*map(asks, names))))
    states = StateRepository(database)
    for _ in range(25):
        host = chance.choice(hosts)
        done = [name for given in view.state.modules_completed.values() for name in given]
        if view.state.pending is not None and (not done or chance.random() < 0.7):
            view = await answered(host, view, chance.choice("xyz"))
        else:
            view = (await host.returner.go(view.run.id, OWNER, host.ways.jump(chance.choice(done), {}))).view
        stored = await states.read(view.run.id, owner_id=OWNER)
        for one in hosts:
            assert await one.view(view.run.id, owner_id=OWNER) == stored


async def test_start_costs_one_read_and_one_transaction(database: Database) -> None:
    engine = service(database)
    template, _ = await engine.workflows.save(workflow(asks("a")), owner_id=OWNER)
    await engine.start(NewStart(owner_id=OWNER, template_id=template.id))

    with commands_sent() as sent:
        await engine.start(NewStart(owner_id=OWNER, template_id=template.id))

    looked, made = ["find", "findAndModify", "findAndModify"], ["insert", "insert", "insert"]
    assert sent == ["find", *looked, *made, "commitTransaction"]


async def test_started_run_is_told_as_it_is_stored(database: Database) -> None:
    engine = service(database)

    view, made = await engine.start(NewStart(owner_id=OWNER, definition=workflow(asks("a")), input={"a": 1}))

    assert made
    assert view.state == (await engine.view(view.run.id, owner_id=OWNER)).state


class LosingDatabase(Database):
    """A database whose answer to every second commit or so is lost, after it was written."""

    chance = random.Random(3)

    async def transaction(self, body: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        answer: T = await super().transaction(body)
        if self.chance.random() < 1 / 2:
            raise DatabaseUnavailableError("writing", "the answer was lost")
        return answer


async def again(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call, as a client does, until it is answered."""
    while True:
        try:
            return await call()
        except DatabaseUnavailableError:
            continue


async def test_repeated_calls_after_lost_answers_write_once(database: Database, mongo_uri: str) -> None:
    definition = workflow(*map(asks, "ab"))
    async with LosingDatabase(mongo_uri, database.name) as losing:
        engine = service(losing)
        start = NewStart(owner_id=OWNER, definition=definition, key="k")
        view, _ = await again(partial(engine.start, start))
        for value in "xy":
            view = await again(partial(answered, engine, view, value))
    calm, _ = await service(database).start(NewStart(owner_id=OWNER, definition=definition))
    for value in "xy":
        calm = await answered(service(database), calm, value)

    events = EngineStores.of(database, TaskQueue(database)).events
    logs = [await events.log(run.run.id, owner_id=OWNER) for run in (view, calm)]
    assert [event.type for event in logs[0]] == [event.type for event in logs[1]]
    assert view.run.status == "completed"


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[ChangeFeed]:
    async with running_feed(database, events=False, runs=True) as running:
        yield running


async def ended(engine: EngineService, run_id: str) -> RunView:
    async with asyncio.timeout(SOON):
        while not (view := await engine.view(run_id, owner_id=OWNER)).run.status.closed:
            await asyncio.sleep(0.05)
    return view


async def test_module_of_package_runs_on_host_that_has_it(database: Database, feed: ChangeFeed) -> None:
    """The host that starts the run lacks the type; one that has it runs it aside, and its loop stays awake."""
    shout = {"id": "shout", "type": "acme.shout@2", "in": {"text": "{{ modules.a.value }}"}}
    lacking, having = service(database), service(database, Shout())
    registry = ModuleRegistry([*builtin_modules(), Shout()], inline=BUILTIN)
    loop = EngineLoop(having.advancer, having.looks, TaskQueue(database), feed, registry, slots=2)
    view, _ = await lacking.start(NewStart(owner_id=OWNER, definition=workflow(asks("a"), shout)))
    view = await answered(lacking, view, "hear")
    assert view.run.status == "processing"

    running = asyncio.create_task(loop.run())
    ticks = Counter[str]()
    waiting = asyncio.create_task(ended(lacking, view.run.id))
    while not waiting.done():
        await asyncio.sleep(0.02)
        ticks["tick"] += 1
    done = await waiting
    loop.stop()
    await running

    assert done.state.module_outputs()["shout"] == {"text": "HEAR"}
    assert ticks["tick"] > 8


async def test_hosts_that_advance_at_once_write_once(database: Database) -> None:
    engines = [service(database) for _ in range(4)]
    view, _ = await engines[0].start(NewStart(owner_id=OWNER, definition=workflow(*map(asks, "ab"))))

    views = await asyncio.gather(*(answered(engine, view, "same") for engine in engines))

    log = await EngineStores.of(database, TaskQueue(database)).events.log(view.run.id, owner_id=OWNER)
    assert Counter(event.type.value for event in log)["interaction_response"] == 1
    assert len({one.run.event_count for one in views}) == 1
