"""Actors for the fault tests: they stamp all that they write with their run, and note in a file what they did."""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from appdb.models import CallUsage, ContentKind, NewContent
from appsupport.faults import crash_points
from appworker import ActorContext, actor

crash_points.arm()

TIMEOUT = timedelta(seconds=60)
CALL = CallUsage(provider="fault", model="fault", operation="fault", cost=Decimal("0.25"))


class Work(BaseModel):
    """Work for a probe actor.

    Args:
        seconds: How long, spread over the steps.
        steps: How many reports of progress and chunks.
        items: How many content items.
        calls: How many calls to a model, one for each of the first steps.
        failures: How many attempts fail at their end.
        deaf: Whether to hold its thread for all that time, and to heed nothing.
    """

    seconds: float = 0
    steps: int = 1
    items: int = 0
    calls: int = 0
    failures: int = 0
    deaf: bool = False


class Done(BaseModel):
    """Result of a probe actor: the run that made it."""

    run: str


async def do_work(context: ActorContext, payload: Work) -> Done:
    """Do what the payload says."""
    run = f"run_{uuid.uuid4().hex}"
    _note(context, run, "start")
    if payload.deaf:
        time.sleep(payload.seconds)  # noqa: ASYNC251
    await _show(context, payload, run)
    if context.attempt <= payload.failures:
        raise RuntimeError(f"broken on purpose in {run}")
    _note(context, run, "finish")
    return Done(run=run)


task = actor("fault.task", timeout=TIMEOUT, isolation="task")(do_work)
thread = actor("fault.thread", timeout=TIMEOUT, isolation="thread")(do_work)
process = actor("fault.process", timeout=TIMEOUT, isolation="process")(do_work)


async def _show(context: ActorContext, payload: Work, run: str) -> None:
    if payload.items:
        await context.describe(operation="fault", provider="fault", source_data={})
    for step in range(payload.steps):
        await context.emit({"run": run, "step": step})
        if step < payload.items:
            await context.store(_item(step, run))
        if step < payload.calls:
            await context.record_usage(f"call-{step}", CALL)
        await context.progress((step + 1) / payload.steps, run)
        if not payload.deaf:
            await asyncio.sleep(payload.seconds / payload.steps)


def _item(index: int, run: str) -> NewContent:
    return NewContent(
        key=f"item-{index}",
        kind=ContentKind.TEXT,
        role="text",
        media_type="text/plain",
        filename="item.txt",
        data=f"item {index} of {run}".encode() * 100,
        index=index,
        caption=run,
    )


def _note(context: ActorContext, run: str, what: str) -> None:
    note: dict[str, Any] = {"task_id": context.task_id, "attempt": context.attempt, "run": run}
    line = json.dumps(note | {"what": what, "pid": os.getpid()}) + "\n"
    file = os.open(os.environ["APP_TEST_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())  # one write: lines of many processes do not mix
    finally:
        os.close(file)
