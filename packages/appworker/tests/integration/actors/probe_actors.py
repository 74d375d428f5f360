"""Actors for the tests: each does one simple or one bad thing."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, JsonValue

from appdb.models import ContentKind, NewContent
from appworker import ActorContext, DiscardError, RetryLaterError, RetryPolicy, SyncContext, actor


class Work(BaseModel):
    """Work for a probe actor."""

    seconds: float = 0
    items: int = 0
    ledger: str = ""


class Done(BaseModel):
    """Result of a probe actor."""

    items: int


@actor("probe.work", timeout=timedelta(seconds=30))
async def work(context: ActorContext, payload: Work) -> Done:
    """Write a line to the ledger, then store items and report, slowly or not."""
    _note(context, payload)
    await context.describe(operation="probe", provider="probe", source_data={})
    for index in range(payload.items):
        await context.store(_item(index))
        await context.progress((index + 1) / payload.items, f"item {index}")
        await asyncio.sleep(payload.seconds / payload.items)
    return Done(items=payload.items)


@actor("probe.leave", timeout=timedelta(seconds=60))
async def leave(context: ActorContext, payload: Work) -> None:
    """Tell this worker to stop in the first moment of an attempt, then go on."""
    _note(context, payload)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(payload.seconds)


@actor("probe.noop")
async def noop(context: ActorContext, payload: Work) -> None:
    """Write a line to the ledger and return."""
    _note(context, payload)


@actor("probe.block", timeout=timedelta(seconds=30))
async def block(_context: ActorContext, payload: Work) -> None:
    """Block the thread, deaf to everything."""
    time.sleep(payload.seconds)  # noqa: ASYNC251


@actor("probe.burn", timeout=timedelta(seconds=30))
async def burn(_context: ActorContext, payload: Work) -> None:
    """Burn CPU in pure Python, deaf to everything."""
    end = time.monotonic() + payload.seconds
    while time.monotonic() < end:
        pass


@actor("probe.chunks")
async def chunks(context: ActorContext, payload: Work) -> Done:
    """Emit many chunks as fast as it can."""
    for number in range(payload.items):
        await context.emit({"n": number})
    return Done(items=payload.items)


@actor("probe.raise", retry=RetryPolicy(max_attempts=2))
async def raise_(_context: ActorContext, _payload: Work) -> None:
    """Fail."""
    raise RuntimeError("broken on purpose \ud800 $lease.token")


@actor("probe.exit", retry=RetryPolicy(max_attempts=1))
async def exit_(_context: ActorContext, _payload: Work) -> None:
    """Try to end the process."""
    raise SystemExit(3)


@actor("probe.discard")
async def discard(_context: ActorContext, _payload: Work) -> None:
    """Say that retrying cannot help."""
    raise DiscardError("text: this can never work")


@actor("probe.huge", retry=RetryPolicy(max_attempts=1))
async def huge(_context: ActorContext, _payload: Work) -> Work:
    """Return far too much."""
    return Work(ledger="x" * 1_000_000)


@actor("probe.slow", timeout=timedelta(seconds=0.5), retry=RetryPolicy(max_attempts=1))
async def slow(_context: ActorContext, payload: Work) -> None:
    """Sleep over its timeout."""
    await asyncio.sleep(payload.seconds)


@actor("probe.later", retry=RetryPolicy(first=timedelta(minutes=1)))
async def later(context: ActorContext, payload: Work) -> Done:
    """Ask for the second attempt after a time."""
    if context.attempt == 1:
        raise RetryLaterError("the provider is busy", timedelta(seconds=payload.seconds))
    return Done(items=payload.items)


@actor("probe.thread")
def thread(context: SyncContext, payload: Work) -> Done:
    """Store items, from a plain function in a thread."""
    return _store_items(context, payload)


@actor("probe.process", isolation="process", memory_limit=256 * 1024 * 1024, cpu_limit=timedelta(seconds=60))
def process(context: SyncContext, payload: Work) -> Done:
    """Store items, from a plain function in a process with limits."""
    return _store_items(context, payload)


@actor("probe.deaf", isolation="process")
def deaf(context: SyncContext, payload: Work) -> None:
    """Tell the process, and heed nothing, SIGTERM neither."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if context.attempt > 1:
        return
    context.report(0.5, str(os.getpid()))
    time.sleep(payload.seconds)


@actor("probe.report", timeout=timedelta(seconds=60))
async def report(context: ActorContext, payload: Work) -> Done:
    """Report progress many times, and return the longest time, in ms, that the event loop kept it waiting."""
    longest = 0.0
    for index in range(payload.items):
        pause = payload.seconds / payload.items
        began = time.monotonic()
        await asyncio.sleep(pause)
        longest = max(longest, time.monotonic() - began - pause)
        context.report((index + 1) / payload.items)
    return Done(items=round(longest * 1_000))


@actor("probe.gate", timeout=timedelta(minutes=10))
def gate(context: SyncContext, payload: Work) -> None:
    """Write a line to the ledger and block a thread until the gate is open."""
    _note(context, payload)
    while not Path(f"{payload.ledger}.open").exists():
        context.check_cancelled()
        time.sleep(0.02)


class UntoldError(Exception):
    """An error that holds what no database can store, and that cannot even be put into words."""

    def __init__(self) -> None:
        super().__init__(object())
        self.request = threading.Lock()
        self.itself = self

    def __str__(self) -> str:
        raise RuntimeError("no words")


@actor("probe.untold", retry=RetryPolicy(first=timedelta(0)))
async def untold(_context: ActorContext, _payload: Work) -> None:
    """Fail with an error that can be neither stored nor told."""
    raise UntoldError


def _store_items(context: SyncContext, payload: Work) -> Done:
    context.describe(operation="probe", provider="probe", source_data={})
    for index in range(payload.items):
        context.store(_item(index))
        context.emit({"n": index})
        context.progress((index + 1) / payload.items, f"item {index}")
    return Done(items=payload.items)


@actor("probe.parent", timeout=timedelta(seconds=30))
async def parent(context: ActorContext, payload: Work) -> Done:
    """Take a step, spawn children, and return once all of them have ended, with what they made."""
    _note(context, payload)
    await context.step("begin", lambda: _begun(payload))
    for number in range(payload.items):
        child: dict[str, JsonValue] = {"items": 1, "seconds": payload.seconds, "ledger": payload.ledger}
        await context.spawn(f"child-{number}", "probe.work", child)
    ended = await context.join()
    return Done(items=sum(child["state"] == "completed" for child in ended))


def _begun(payload: Work) -> str:
    with Path(payload.ledger).open("a") as ledger:
        ledger.write("begun\n")
    return "begun"


def _note(context: ActorContext | SyncContext, payload: Work) -> None:
    if payload.ledger:
        with Path(payload.ledger).open("a") as ledger:
            ledger.write(f"{context.task_id} {context.attempt}\n")


def _item(index: int) -> NewContent:
    return NewContent(
        key=f"item-{index}",
        kind=ContentKind.TEXT,
        role="text",
        media_type="text/plain",
        filename="item.txt",
        data=f"item {index}".encode() * 1_000,
        index=index,
    )
