"""Actors that run in a process of their own: each does one simple or one bad thing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, JsonValue

from appdb.models import ContentKind, NewContent
from appworker import ActorContext, DiscardError, RetryLaterError, RetryPolicy, SyncContext, actor

MIB = 1024 * 1024
ONCE = RetryPolicy(max_attempts=1)


class Work(BaseModel):
    number: int = 0
    text: str = ""


class Result(BaseModel):
    pid: int
    text: str = ""


@actor("process.works", isolation="process", retry=ONCE)
async def works(context: ActorContext, payload: Work) -> Result:
    """Use all that the context has."""
    context.report(0.25, "begun")
    await context.progress(0.5, "half")
    for number in range(payload.number):
        await context.emit({"n": number})
    await context.describe(operation="o", provider="p", source_data={})
    await context.store(_item("bytes", b"\x00\xff" * 100_000))
    file = Path(payload.text) / "file"
    file.write_bytes(b"from a file")
    await context.store(_item("file", file))
    step = await context.step("step", _step)
    child = await context.spawn("c", "child", {"x": 1}, priority=2)
    children = await context.join()
    context.logger.warning("logged")
    print("printed \u00e9")  # noqa: T201
    facts = [context.task_id, context.owner_id, context.attempt, context.idempotency_key, context.deadline.isoformat()]
    return Result(pid=os.getpid(), text=f"{facts} {step} {child} {children}")


async def _step() -> JsonValue:
    await asyncio.sleep(0)
    return {"pid": os.getpid()}


@actor("process.plain", isolation="process", retry=ONCE)
def plain(context: SyncContext, payload: Work) -> Result:
    """Do it without an event loop."""
    context.progress(0.5, "half")
    context.emit({"n": payload.number})
    context.store(_item("bytes", b"plain"))
    step = context.step("step", lambda: {"pid": os.getpid()})
    return Result(pid=os.getpid(), text=f"{step} {context.join()}")


@actor("process.exit", isolation="process", retry=ONCE)
async def exit_(_context: ActorContext, payload: Work) -> None:
    """End the process."""
    os._exit(payload.number)


@actor("process.signal", isolation="process", retry=ONCE)
def signal_(_context: SyncContext, payload: Work) -> None:
    """Be killed."""
    os.kill(os.getpid(), payload.number)
    time.sleep(60)


@actor("process.memory", isolation="process", memory_limit=64 * MIB, retry=ONCE)
def memory(_context: SyncContext, payload: Work) -> Result:
    """Take as many MiB as asked for."""
    return Result(pid=os.getpid(), text=str(len(bytearray(payload.number * MIB))))


@actor("process.cpu", isolation="process", cpu_limit=timedelta(seconds=1), retry=ONCE)
async def cpu(_context: ActorContext, _payload: Work) -> None:
    """Burn CPU, deaf to everything."""
    while True:
        pass


@actor("process.huge", isolation="process", retry=ONCE)
async def huge(_context: ActorContext, payload: Work) -> Result:
    """Return far too much."""
    return Result(pid=os.getpid(), text="x" * payload.number * MIB)


@actor("process.raise", isolation="process", retry=ONCE)
async def raise_(_context: ActorContext, payload: Work) -> None:
    """Raise what it is asked for."""
    if payload.text == "discard":
        raise DiscardError("never")
    if payload.text == "later":
        raise RetryLaterError("busy", timedelta(seconds=9))
    raise RuntimeError("broken")


@actor("process.polite", isolation="process", retry=ONCE)
async def polite(context: ActorContext, payload: Work) -> None:
    """Wait as long as asked for, or to be stopped, and say so."""
    await context.emit({"pid": os.getpid()})
    try:
        await asyncio.sleep(payload.number or 3_600)
    finally:
        context.logger.warning("stopped politely")


@actor("process.deaf", isolation="process", retry=ONCE)
def deaf(context: SyncContext, _payload: Work) -> None:
    """Heed nothing but what the system does."""
    context.emit({"pid": os.getpid()})
    while True:
        time.sleep(60)


@actor("process.stubborn", isolation="process", retry=ONCE)
def stubborn(context: SyncContext, _payload: Work) -> None:
    """Heed nothing, SIGTERM neither, and start something that does not either."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    context.emit({"pid": os.getpid(), "child": child.pid})
    while True:
        time.sleep(60)


def _item(key: str, data: bytes | Path) -> NewContent:
    return NewContent(
        key=key, kind=ContentKind.TEXT, role="text", media_type="text/plain", filename="f.txt", data=data, seed=7
    )
