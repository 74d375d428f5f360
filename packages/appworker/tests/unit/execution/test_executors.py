"""Actors on the shared event loop and in threads: results, stops, and actors that block."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import BaseModel, JsonValue

from appdb.models import ContentKind, NewContent
from appsupport.hosts.recording_context import RecordingContext, job_of
from appworker import ActorContext, DiscardError, RetryLaterError, SyncContext, actor
from appworker.execution.executors import Executors
from appworker.execution.results import ActorDone, ActorFailed, ActorStopped, ActorSuspended
from appworker.execution.stop import StopReason

TIMEOUT_SECONDS = 30
"""Seconds that a slow machine gets; nothing is measured by them."""

request_id = contextvars.ContextVar("request_id", default="none")


class Number(BaseModel):
    number: int = 0


class Text(BaseModel):
    text: str


class Where(BaseModel):
    thread: str
    request: str


@pytest.fixture
async def executors() -> AsyncIterator[Executors]:
    made = Executors()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        yield made
        await made.close()


@actor("where")
async def where(_context: ActorContext, _payload: Number) -> Where:
    return Where(thread=threading.current_thread().name, request=request_id.get())


@actor("where.thread", isolation="thread")
async def where_in_a_thread(_context: ActorContext, _payload: Number) -> Where:
    return Where(thread=threading.current_thread().name, request=request_id.get())


@actor("where.plain")
def where_plainly(_context: SyncContext, _payload: Number) -> Where:
    return Where(thread=threading.current_thread().name, request=request_id.get())


@actor("double")
async def double(_context: ActorContext, payload: Number) -> Number:
    await asyncio.sleep(0)
    return Number(number=payload.number * 2)


@actor("forever")
async def forever(context: ActorContext, _payload: Number) -> None:
    context.report(0.1)
    await asyncio.Event().wait()


@actor("forever.thread", isolation="thread")
async def forever_in_a_thread(context: ActorContext, _payload: Number) -> None:
    context.report(0.1)
    await asyncio.Event().wait()


@actor("forever.plain")
def forever_plainly(context: SyncContext, _payload: Number) -> None:
    context.report(0.1)
    while True:
        context.check_cancelled()


async def test_async_actors_share_thread_plain_ones_own(executors: Executors) -> None:
    request_id.set("r-1")
    started = [executors.start(job_of(made, RecordingContext())) for made in (where, where, where_in_a_thread)]
    one, other, alone = [await outcome for outcome in started]

    assert one == other == ActorDone(result={"thread": "actors-0", "request": "r-1"})
    assert alone == ActorDone(result={"thread": "actor-task-1", "request": "r-1"})


async def test_thousand_attempts_get_their_own_results(executors: Executors) -> None:
    started = [executors.start(job_of(double, RecordingContext(), number=number)) for number in range(1_000)]
    outcomes = await asyncio.gather(*started)

    assert outcomes == [ActorDone(result={"number": 2 * number}) for number in range(1_000)]
    assert executors.blocked_seconds < TIMEOUT_SECONDS


@pytest.mark.parametrize("made", [forever, forever_in_a_thread, forever_plainly])
@pytest.mark.parametrize("reason", [StopReason.DRAIN, StopReason.LEASE_LOST])
async def test_stopped_attempt_ends(executors: Executors, made: object, reason: StopReason) -> None:
    context = RecordingContext()
    outcome = executors.start(job_of(made, context))  # type: ignore[arg-type]  # parametrized
    while not context.said:
        await asyncio.sleep(0.01)
    context.stop.throw(reason)

    assert await outcome == ActorStopped()


async def test_attempt_stopped_before_begin_ends(executors: Executors) -> None:
    context = RecordingContext()
    context.stop.throw(StopReason.DRAIN)

    assert await executors.start(job_of(forever, context)) == ActorStopped()


async def test_blocking_actor_hurts_only_its_loop(executors: Executors) -> None:
    blocked, released = threading.Event(), threading.Event()

    @actor("block")
    async def block(_context: ActorContext, _payload: Number) -> Where:
        blocked.set()
        await asyncio.sleep(0)
        released.wait(TIMEOUT_SECONDS)
        return Where(thread=threading.current_thread().name, request="")

    blocking = executors.start(job_of(block, RecordingContext()))
    await asyncio.to_thread(blocked.wait)
    # These wait for the blocked loop until it is found out.
    moved = await asyncio.gather(*(executors.start(job_of(where, RecordingContext())) for _ in range(10)))
    blocked_seconds = executors.blocked_seconds
    started_later = await executors.start(job_of(where, RecordingContext()))
    assert not blocking.done()
    released.set()
    recovered = await blocking
    while executors.blocked_seconds > 0:
        await asyncio.sleep(0.01)
    started_again = await executors.start(job_of(where, RecordingContext()))

    threads = [
        found.result["thread"] for found in (*moved, started_later) if isinstance(found, ActorDone) and found.result
    ]
    assert threads == ["actors-1"] * 11
    assert blocked_seconds >= 0.5
    assert recovered == ActorDone(result={"thread": "actors-0", "request": ""})
    assert isinstance(started_again, ActorDone)
    assert started_again.result == {"thread": "actors-0", "request": "none"}


async def test_actor_cannot_end_shared_loop(executors: Executors, caplog: pytest.LogCaptureFixture) -> None:
    @actor("exit")
    async def exit_(_context: ActorContext, payload: Number) -> None:
        if payload.number:
            raise SystemExit(payload.number)
        await asyncio.create_task(exit_.run(RecordingContext(), {"number": 4}))

    neighbour = RecordingContext()
    beside = executors.start(job_of(forever, neighbour))
    direct = await executors.start(job_of(exit_, RecordingContext(), number=3))
    by_a_task = await executors.start(job_of(exit_, RecordingContext()))
    after = await executors.start(job_of(double, RecordingContext(), number=1))
    neighbour.stop.throw(StopReason.DRAIN)

    assert direct == ActorFailed(kind="SystemExit", message="3", retry=True)
    assert by_a_task == ActorFailed(kind="SystemExit", message="4", retry=True)
    assert after == ActorDone(result={"number": 2})
    assert await beside == ActorStopped()
    assert "a task of an actor tried to end the worker" in caplog.messages


ITEM = NewContent(key="k", kind=ContentKind.TEXT, role="r", media_type="text/plain", filename="f", data=b"data", seed=7)


async def test_plain_actor_tells_progress_and_data(executors: Executors) -> None:
    @actor("telling")
    def telling(context: SyncContext, payload: Number) -> None:
        context.progress(0.25, "begun")
        context.emit({"n": payload.number})
        context.describe(operation="o", provider="p", source_data={"s": 1})

    context = RecordingContext()
    outcome = await executors.start(job_of(telling, context, number=5))

    assert isinstance(outcome, ActorDone)
    assert context.said == [(0.25, "begun"), {"n": 5}, ("o", "p", {"s": 1})]


async def test_plain_actor_stores_content(executors: Executors) -> None:
    @actor("storing")
    def storing(context: SyncContext, _payload: Number) -> Text:
        return Text(text=context.store(ITEM))

    context = RecordingContext()
    outcome = await executors.start(job_of(storing, context))

    assert outcome == ActorDone(result={"text": "content-k"})
    assert context.stored == {"k": b"data"}
    assert context.said == [("k", ContentKind.TEXT, 7)]


async def test_plain_actor_does_step_once(executors: Executors) -> None:
    threads: list[str] = []

    def work() -> JsonValue:
        threads.append(threading.current_thread().name)
        return {"made": len(threads)}

    @actor("stepping")
    def stepping(context: SyncContext, _payload: Number) -> Text:
        return Text(text=str([context.step("first", work), context.step("first", work)]))

    context = RecordingContext()
    outcome = await executors.start(job_of(stepping, context))

    assert outcome == ActorDone(result={"text": "[{'made': 1}, {'made': 1}]"})
    assert threads == ["actor-task-1"]
    assert context.steps == {"first": {"made": 1}}


async def test_plain_actor_spawns_and_joins_children(executors: Executors) -> None:
    @actor("spawning")
    def spawning(context: SyncContext, _payload: Number) -> Text:
        child = context.spawn("c", "child", {"x": 1}, priority=3)
        return Text(text=f"{child} {context.join()[0]['state']}")

    context = RecordingContext(children=[{"state": "completed"}])
    outcome = await executors.start(job_of(spawning, context))

    assert outcome == ActorDone(result={"text": "child-c completed"})
    assert context.said == [("c", "child", {"x": 1}, None, 3)]


async def test_plain_actor_knows_its_attempt(executors: Executors) -> None:
    @actor("asking")
    def asking(context: SyncContext, _payload: Number) -> Text:
        return Text(text=f"{context.attempt} {context.idempotency_key} {context.cancelled}")

    outcome = await executors.start(job_of(asking, RecordingContext()))

    assert outcome == ActorDone(result={"text": "2 key-1 False"})


async def test_parent_with_running_children_is_suspended(executors: Executors) -> None:
    @actor("parent")
    async def parent(context: ActorContext, _payload: Number) -> None:
        await context.join()

    @actor("parent.plain")
    def parent_plainly(context: SyncContext, _payload: Number) -> None:
        context.join()

    started = [executors.start(job_of(made, RecordingContext())) for made in (parent, parent_plainly)]

    assert [await outcome for outcome in started] == [ActorSuspended(), ActorSuspended()]


async def test_raised_errors_are_distinguished(executors: Executors) -> None:
    @actor("raise")
    async def raising(_context: ActorContext, payload: Number) -> None:
        if payload.number == 1:
            raise DiscardError("never")
        if payload.number == 2:
            raise RetryLaterError("busy", timedelta(seconds=9))
        raise RuntimeError("broken")

    started = [executors.start(job_of(raising, RecordingContext(), number=number)) for number in (1, 2, 3)]
    invalid = executors.start(job_of(raising, RecordingContext(), number="many"))

    assert [await outcome for outcome in started] == [
        ActorFailed(kind="Discarded", message="never", retry=False),
        ActorFailed(kind="RetryLater", message="busy", retry=True, retry_in=timedelta(seconds=9)),
        ActorFailed(kind="RuntimeError", message="broken", retry=True),
    ]
    found = await invalid
    assert isinstance(found, ActorFailed)
    assert (found.kind, found.retry, found.message[:7]) == ("InvalidPayload", False, "number:")
