"""Performs one attempt from claim to outcome: run the actor, stop it when it must end, settle the task."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from functools import partial
from typing import assert_never

from pydantic import BaseModel

from appdb import InvalidDataError, Task
from appdb.host import LeaseRenewer
from appdb.models import LONGEST
from appworker.actors.base import Actor
from appworker.attempt.attempt import Attempt
from appworker.attempt.context import AttemptContext
from appworker.errors import TaskStoppedError
from appworker.execution.executors import Executors
from appworker.execution.job import Job, threadsafe
from appworker.execution.results import ActorDone, ActorFailed, ActorResult, ActorStopped, ActorSuspended
from appworker.execution.stop import StopReason
from appworker.worker.slots import SlotTicket

logger = logging.getLogger(__name__)

SPARE = timedelta(seconds=15)
"""How long after its timeout an attempt may still be stopped and settled, while its lease is kept."""


class AttemptRunner:
    """Performs attempts.

    Args:
        lease_renewer: Renews the leases of what runs.
    """

    def __init__(self, lease_renewer: LeaseRenewer) -> None:
        self._lease_renewer = lease_renewer
        self._executors = Executors()

    @property
    def blocked_seconds(self) -> float:
        """How long an actor has blocked the event loop that it shares with others; 0 when none does."""
        return self._executors.blocked_seconds

    async def close(self) -> None:
        """Let go of the threads and processes that actors ran in."""
        await self._executors.close()

    async def perform(self, attempt: Attempt, actor: Actor[BaseModel], turn: SlotTicket) -> None:
        """Run *actor* on the attempt's task, and settle it.

        Args:
            attempt: What to perform.
            actor: What runs.
            turn: Its use of a slot, which is over when nothing of the actor runs any more: also while the outcome is
                still being written, and not before its thread is done. Whose turn does not come is handed back.
        """
        self._lease_renewer.add(attempt, renewed_until(attempt.task, actor))
        try:
            if not await turn.comes():
                await attempt.release()
                return
            outcome = await self._outcome(attempt, actor, turn)
            self._lease_renewer.ignore_hints(attempt)
            await self._settle(attempt, actor, outcome)
        except TaskStoppedError as exc:
            logger.info("an attempt was stopped", extra={**attempt.names, "reason": exc.reason})
        finally:
            self._lease_renewer.remove(attempt)

    async def _outcome(self, attempt: Attempt, actor: Actor[BaseModel], turn: SlotTicket) -> ActorResult:
        if attempt.stop.reason is not None:  # while it waited
            turn.over()
            return ActorStopped()
        timeout = _timeout(attempt.task, actor)
        try:
            running = self._start(attempt, actor, timeout)
        except Exception as exc:
            turn.over()
            logger.exception("an attempt could not be started", extra=attempt.names)
            return ActorFailed(kind="NotStarted", message=f"the host cannot start the attempt: {exc}", retry=True)
        running.add_done_callback(lambda _: turn.over())
        await _ended_or_stopped(running, attempt, timeout)
        if not running.done():
            # Whoever has not ended by then is settled without.
            await asyncio.wait({running}, timeout=self._executors.grace(actor).total_seconds())
        if not running.done():
            logger.error("an actor does not end; its slot stays taken", extra=attempt.names)
            return ActorStopped()
        return _result_of(running, attempt)

    def _start(self, attempt: Attempt, actor: Actor[BaseModel], timeout: timedelta) -> asyncio.Future[ActorResult]:
        attempt.begin()
        logger.info("a task begins", extra=attempt.names)
        context = AttemptContext(attempt, timeout, asyncio.get_running_loop())
        return self._executors.start(Job(actor=actor, context=context, payload=attempt.task.payload, stop=attempt.stop))

    async def _settle(self, attempt: Attempt, actor: Actor[BaseModel], outcome: ActorResult) -> None:
        match outcome:
            case ActorDone(result=result):
                await _complete(attempt, result)
            case ActorFailed(kind=kind, message=message):
                await attempt.fail(kind, message, _retry_in(attempt, actor, outcome))
            case ActorSuspended():
                await attempt.suspend()
            case ActorStopped():
                await _settle_stopped(attempt, actor)
            case _:
                assert_never(outcome)


async def _ended_or_stopped(running: asyncio.Future[ActorResult], attempt: Attempt, limit: timedelta) -> None:
    home = asyncio.get_running_loop()
    either: asyncio.Future[None] = home.create_future()
    running.add_done_callback(lambda _: _resolve(either))
    attempt.stop.on_stop(threadsafe(home, partial(_resolve, either)))
    timer = home.call_later(limit.total_seconds(), attempt.stop.throw, StopReason.TIMEOUT)
    try:
        await either
    finally:
        timer.cancel()


def _result_of(running: asyncio.Future[ActorResult], attempt: Attempt) -> ActorResult:
    error = running.exception()
    if error is None:
        return running.result()
    # Whatever it is, it must end this attempt, and not the lease of three.
    logger.error("an attempt ended in an error of its executor", extra=attempt.names, exc_info=error)
    return ActorFailed(kind=type(error).__name__, message=f"the worker could not run the attempt: {error}", retry=True)


async def _complete(attempt: Attempt, result: dict[str, object] | None) -> None:
    try:
        await attempt.complete(result)
    except InvalidDataError as exc:
        await attempt.fail(type(exc).__name__, f"the actor's result cannot be stored: {exc}", None)


async def _settle_stopped(attempt: Attempt, actor: Actor[BaseModel]) -> None:
    reason = attempt.stop.reason
    if reason is StopReason.DRAIN:
        await attempt.release()
        return
    if reason is StopReason.TIMEOUT:
        failed = ActorFailed(kind="Timeout", message="the attempt was out of time", retry=True)
    elif reason is StopReason.REFUSED and attempt.refusal is not None:
        failed = ActorFailed(kind=type(attempt.refusal).__name__, message=str(attempt.refusal), retry=True)
    else:
        raise TaskStoppedError(attempt.task.id, StopReason.LEASE_LOST)
    await attempt.fail(failed.kind, failed.message, _retry_in(attempt, actor, failed))


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def renewed_until(task: Task, actor: Actor[BaseModel]) -> float:
    """Return until when, by the monotonic clock, the lease of an attempt that begins now is worth renewing."""
    return time.monotonic() + (_timeout(task, actor) + SPARE).total_seconds()


def _timeout(task: Task, actor: Actor[BaseModel]) -> timedelta:
    seconds = task.timeout_seconds
    return actor.timeout if seconds is None else timedelta(seconds=min(seconds, LONGEST.total_seconds()))


def _retry_in(attempt: Attempt, actor: Actor[BaseModel], failed: ActorFailed) -> timedelta | None:
    """Return the pause before the next attempt, or ``None`` when there must be none."""
    if not failed.retry or attempt.lease.is_last_attempt:
        return None
    pause = actor.retry.delay(attempt.task.attempt) if failed.retry_in is None else failed.retry_in
    return min(pause, LONGEST)
