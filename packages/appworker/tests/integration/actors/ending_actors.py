"""One actor for each isolation, which ends, or leaves behind, whatever it is told to."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, RootModel

from appdb import TaskQueue
from appworker import ActorContext, RetryPolicy, SyncContext, actor

AT_ONCE = RetryPolicy(first=timedelta(0))
LEFT_SECONDS = 3_600
HALF: Any = 0.5
HELD_SECONDS = 20


class What(BaseModel):
    what: str
    ledger: str = ""
    seconds: float = 0


class Made(BaseModel):
    value: Any = None


class Rows(RootModel[list[int]]):
    pass


class Answer(BaseModel):
    text: str


class MuteError(Exception):
    def __str__(self) -> str:
        raise SystemExit("no words")


class LockedError(Exception):
    """Can be neither pickled nor copied, and refers to itself."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock, self.itself = threading.Lock(), self


Context = ActorContext | SyncContext


def raises(error: BaseException) -> Callable[[Context], Any]:
    def ending(_context: Context) -> None:
        raise error

    return ending


def returns(value: Any) -> Callable[[Context], Any]:
    return lambda _context: value


def recurse(context: Context) -> None:
    recurse(context)


def log_badly(context: Context) -> Made:
    context.logger.warning("read %d frames of %s", "many")  # noqa: PLE1206 - this is the mistake
    logging.getLogger("some.library").warning("%s", 1, 2, 3, extra={"odd": object()})  # noqa: PLE1205
    return Made(value=True)


def close_outputs(context: Context) -> Made:
    for stream in (sys.stdout, sys.stderr):
        stream.close()
    context.logger.warning("logged to nobody: %d", "x")
    return Made(value=True)


def leave_a_thread(_context: Context) -> Made:
    threading.Thread(target=time.sleep, args=(LEFT_SECONDS,), name="left behind", daemon=False).start()
    return Made(value=True)


def end_a_forked_child(_context: Context) -> Made:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(LEFT_SECONDS,))
    child.start()
    child.terminate()
    child.join(10)
    code = child.exitcode
    child.kill()
    return Made(value=code)


def leave_a_forked_child(_context: Context) -> Made:
    child = os.fork()
    if child == 0:
        time.sleep(8)
        os._exit(0)
    return Made(value=True)


def take_threads_away(_context: Context) -> Made:
    """Have the next three threads for actors fail to start, as on a host that has no room for more."""
    start, left = threading.Thread.start, iter(range(3))

    def refusing(thread: threading.Thread) -> None:
        if thread.name.startswith("actor-tq_") and next(left, None) is not None:
            raise RuntimeError("can't start new thread")
        start(thread)

    threading.Thread.start = refusing  # type: ignore[assignment, method-assign]
    return Made(value=True)


def break_the_worker(context: Context) -> Made:
    """Have the worker's next claim, renewal of leases and commit of this attempt alone fail by a fault of its own."""
    _fail_once("claim", lambda _claimer: True)
    _fail_once("renew", lambda _leases: True)
    _fail_once("commit", lambda writes: {write.lease.task_id for write in writes} == {context.task_id})
    return Made(value=True)


def _fail_once(name: str, meant: Callable[[Any], bool]) -> None:
    method, left = getattr(TaskQueue, name), iter([1])

    async def failing(queue: TaskQueue, *arguments: Any, **options: Any) -> Any:
        if meant(arguments[0]) and next(left, None) is not None:
            raise LookupError(f"{name} fails on purpose")
        return await method(queue, *arguments, **options)

    setattr(TaskQueue, name, failing)


def die_beside_a_forked_child(_context: Context) -> None:
    if os.fork() == 0:
        os.setsid()
        time.sleep(20)
        os._exit(0)
    os._exit(5)


def hear_signals(_context: Context) -> Made:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(os.getpid(), number)
    time.sleep(0.2)
    return Made(value=True)


def hold_pythons_lock(_context: Context) -> Made:
    """Do what a long call of a C library does that lets no other thread run."""
    ctypes.PyDLL(None).sleep(HELD_SECONDS)
    return Made(value=True)


ENDINGS: dict[str, Callable[[Context], Any]] = {
    "nothing": returns(None),
    "a model": returns(Made(value=1)),
    "not a number": returns(Made(value=float("nan"))),
    "a list": returns(Rows([1, 2])),
    "a mapping": returns({"value": 1}),
    "an object": returns(Made(value=object())),
    "text that is no text": returns(Made(value="\ud800")),
    "a number of a hundred digits": returns(Made(value=10**100)),
    "too much": returns(Made(value="x" * 1_000_000)),
    "its own ValidationError": lambda _: Answer.model_validate_json('{"error": "overloaded"}'),
    "SystemExit": raises(SystemExit(3)),
    "KeyboardInterrupt": raises(KeyboardInterrupt()),
    "GeneratorExit": raises(GeneratorExit()),
    "CancelledError": raises(asyncio.CancelledError()),
    "MemoryError": raises(MemoryError()),
    "StopIteration": raises(StopIteration(1)),
    "RecursionError": recurse,
    "a huge error": raises(RuntimeError("x" * 10_000_000)),
    "an error that cannot be told": raises(MuteError()),
    "an error that cannot be copied": raises(LockedError("locked")),
    "a report that is no number": lambda context: context.report("half"),  # type: ignore[arg-type]  # on purpose
    "a report of not a number": lambda context: context.report(float("nan")),
    "a bad log call": log_badly,
    "closed outputs": close_outputs,
    "a thread left behind": leave_a_thread,
    "a forked child that is ended": end_a_forked_child,
    "a forked child left behind": leave_a_forked_child,
    "no more threads": take_threads_away,
    "a held lock": hold_pythons_lock,
    "a broken worker": break_the_worker,
    "death beside a forked child": die_beside_a_forked_child,
    "signals for everybody": hear_signals,
}

STEPS: dict[str, Any] = {
    "a step of too much": "x" * 300_000,
    "a step of a set": {1, 2},
    "a step of a tuple": (1, {"a": 2}),
    "a step of a second": "paid",
}


def _paid(payload: What) -> Any:
    with Path(payload.ledger).open("a") as ledger:
        ledger.write(f"{payload.what}\n")
    time.sleep(payload.seconds)
    return STEPS[payload.what]


@actor("ending.task", retry=AT_ONCE)
async def task(context: ActorContext, payload: What) -> Any:
    """End so in the shared loop."""
    if payload.what in STEPS:
        return Made(value=await context.step("pay", lambda: _paid(payload)))
    if payload.what == "a step without a name":
        await context.step("", lambda: _paid(payload))
    if payload.what == "a child of half a priority":
        await context.spawn("child", "ending.task", {"what": "nothing"}, priority=HALF)
    return ENDINGS[payload.what](context)


def _plainly(context: SyncContext, payload: What) -> Any:
    if payload.what in STEPS:
        return Made(value=context.step("pay", lambda: _paid(payload)))
    if payload.what == "a step without a name":
        context.step("", lambda: _paid(payload))
    if payload.what == "a child of half a priority":
        context.spawn("child", "ending.task", {"what": "nothing"}, priority=HALF)
    return ENDINGS[payload.what](context)


@actor("ending.thread", retry=AT_ONCE)
def thread(context: SyncContext, payload: What) -> Any:
    """End so in a thread."""
    return _plainly(context, payload)


@actor("ending.process", isolation="process", retry=AT_ONCE)
def process(context: SyncContext, payload: What) -> Any:
    """End so in a process."""
    return _plainly(context, payload)
