"""Performs one attempt from claim to outcome: run the actor, stop it when it must end, settle the task."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import assert_never

from pydantic import BaseModel

from appdb import ChangeFeed, InvalidDataError
from appdb.feed import task_topic
from appworker.actors.base import Actor
from appworker.attempt import Attempt
from appworker.context import AttemptContext
from appworker.errors import TaskStoppedError
from appworker.execution import Done, Executors, Failed, Job, Outcome, Stopped, Suspended
from appworker.execution.job import soon
from appworker.keeper import LeaseKeeper
from appworker.stop import StopReason

logger = logging.getLogger(__name__)

HINT_WAIT = timedelta(minutes=1)


class Performer:
    """Performs attempts.

    Args:
        feed: Hints that something happened to a task.
        keeper: Keeps the leases of what runs.
    """

    def __init__(self, feed: ChangeFeed, keeper: LeaseKeeper) -> None:
        self._feed = feed
        self._keeper = keeper
        self._executors = Executors()

    async def close(self) -> None:
        """Let go of the threads and processes that actors ran in."""
        await self._executors.close()

    @property
    def blocked_seconds(self) -> float:
        """How long an actor has blocked the event loop that it shares with others; 0 when none does."""
        return self._executors.blocked_seconds

    async def perform(self, attempt: Attempt, actor: Actor[BaseModel]) -> None:
        """Run *actor* on the attempt's task and settle it.

        It returns when the actor has ended, so a slot is free only when its thread is.
        """
        self._keeper.add(attempt)
        writing = asyncio.create_task(attempt.write_behind())
        heeding = asyncio.create_task(self._heed_hints(attempt))
        ended = asyncio.Event()
        try:
            outcome = await self._outcome(attempt, actor, ended)
            attempt.close()
            await writing
            await self._settle(attempt, actor, outcome)
        except TaskStoppedError as exc:
            logger.info("an attempt was stopped", extra={"task_id": attempt.task.id, "reason": exc.reason})
        finally:
            attempt.close()
            heeding.cancel()
            await asyncio.gather(writing, heeding, return_exceptions=True)
            self._keeper.remove(attempt)
        await ended.wait()

    async def _outcome(self, attempt: Attempt, actor: Actor[BaseModel], ended: asyncio.Event) -> Outcome:
        timeout = _timeout(attempt, actor)
        home = asyncio.get_running_loop()
        context = AttemptContext(attempt, timeout, home)
        job = Job(actor=actor, context=context, payload=attempt.task.payload, stop=attempt.stop)
        future = self._executors.start(job)
        future.add_done_callback(lambda _: ended.set())
        over: asyncio.Future[None] = home.create_future()
        future.add_done_callback(lambda _: _resolve(over))
        attempt.stop.on_stop(soon(home, lambda: _resolve(over)))
        clock = home.call_later(timeout.total_seconds(), attempt.stop.throw, StopReason.TIMEOUT)
        await over
        clock.cancel()
        if not future.done():
            # Whoever has not ended by then is settled without.
            await asyncio.wait({future}, timeout=self._executors.grace(actor).total_seconds())
        if not future.done():
            logger.error("an actor does not end; its slot stays taken", extra={"task_id": attempt.task.id})
            return Stopped()
        return future.result()

    async def _settle(self, attempt: Attempt, actor: Actor[BaseModel], outcome: Outcome) -> None:
        match outcome:
            case Done(result=result):
                await _complete(attempt, result)
            case Failed(kind=kind, message=message):
                await attempt.fail(kind, message, _retry_in(attempt, actor, outcome))
            case Suspended():
                await attempt.suspend()
            case Stopped():
                await _settle_stopped(attempt, actor)
            case _:
                assert_never(outcome)

    async def _heed_hints(self, attempt: Attempt) -> None:
        with self._feed.subscribe(task_topic(attempt.task.id)) as hints:
            while True:
                if await hints.wait(HINT_WAIT):
                    self._keeper.look_now()


async def _complete(attempt: Attempt, result: dict[str, object] | None) -> None:
    try:
        await attempt.complete(result)
    except InvalidDataError as exc:
        await attempt.fail(type(exc).__name__, f"the actor's result cannot be stored: {exc}", None)


async def _settle_stopped(attempt: Attempt, actor: Actor[BaseModel]) -> None:
    reason = attempt.stop.reason
    if reason is StopReason.DRAIN:
        await attempt.release()
    elif reason is StopReason.TIMEOUT:
        failed = Failed(kind="Timeout", message="the attempt was out of time", retry=True)
        await attempt.fail(failed.kind, failed.message, _retry_in(attempt, actor, failed))
    else:
        raise TaskStoppedError(attempt.task.id, StopReason.LEASE_LOST)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _timeout(attempt: Attempt, actor: Actor[BaseModel]) -> timedelta:
    seconds = attempt.task.timeout_seconds
    return actor.timeout if seconds is None else timedelta(seconds=seconds)


def _retry_in(attempt: Attempt, actor: Actor[BaseModel], failed: Failed) -> timedelta | None:
    """Return the pause before the next attempt, or ``None`` when there must be none."""
    if not failed.retry or attempt.task.attempt >= attempt.task.max_attempts:
        return None
    return actor.retry.delay(attempt.task.attempt) if failed.retry_in is None else failed.retry_in
