"""The attempt runner: does one attempt from claim to outcome."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from functools import partial
from typing import Protocol

from pydantic import BaseModel

from appdb import AttemptOutcome, Completed, Failed, InvalidDataError, Released
from appdb.host import LeaseRenewer
from appworker.actors.base import Actor
from appworker.attempt.attempt import Attempt
from appworker.attempt.context import AttemptContext
from appworker.attempt.outcomes import outcome_of
from appworker.attempt.time_limits import renewed_until, timeout_of
from appworker.errors import TaskStoppedError
from appworker.execution.executors import Executors
from appworker.execution.job import Job, threadsafe
from appworker.execution.results import ActorFailed, ActorResult, ActorStopped
from appworker.execution.stop import StopReason

logger = logging.getLogger(__name__)


class Slot(Protocol):
    """Room for one attempt, now or in a moment."""

    async def granted(self) -> bool:
        """Wait for the room, and return whether there was any in time."""

    def free(self) -> None:
        """Give the room back, once, if it was granted."""


class AttemptRunner:
    """
    Runs the actor of an attempt, stops it when it must end, and settles the task.

    Args:
        lease_renewer: Renews the leases of all attempts that run.
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

    async def run(self, attempt: Attempt, actor: Actor[BaseModel], slot: Slot) -> None:
        """Run *actor* on the attempt's task, and settle it.

        Args:
            attempt: The attempt.
            actor: Its actor.
            slot: The slot. It is freed when the actor has fully ended, before the outcome is written. Without a slot
                in time the task is released.
        """
        # Before the wait for a slot: the lease runs from the claim on.
        self._lease_renewer.add(attempt, renewed_until(attempt.task, actor))
        try:
            if not await slot.granted():
                await attempt.settle(Released())
                return
            result = await self._run_actor(attempt, actor, slot)
            # The change feed tells of the outcome too, which is no reason to look after the lease.
            self._lease_renewer.ignore_hints(attempt)
            await _settle(attempt, outcome_of(result, attempt, actor))
        except TaskStoppedError as exc:
            logger.info("an attempt was stopped", extra={**attempt.names, "reason": exc.reason})
        finally:
            self._lease_renewer.remove(attempt)

    async def _run_actor(self, attempt: Attempt, actor: Actor[BaseModel], slot: Slot) -> ActorResult:
        if attempt.stop.reason is not None:  # while it waited
            slot.free()
            return ActorStopped()
        timeout = timeout_of(attempt.task, actor)
        try:
            running = self._start(attempt, actor, timeout)
        except Exception as exc:
            slot.free()
            logger.exception("an attempt could not be started", extra=attempt.names)
            return ActorFailed(kind="NotStarted", message=f"the host cannot start the attempt: {exc}", retry=True)
        # By callback, so that the slot is free in the same turn of the loop, and before the outcome's round trip.
        running.add_done_callback(lambda _: slot.free())
        await _until_ended_or_stopped(running, attempt, timeout)
        if not running.done():
            # An actor that has not ended by then is settled without.
            await asyncio.wait({running}, timeout=self._executors.grace(actor).total_seconds())
        if not running.done():
            logger.error("an actor does not end; its slot stays taken", extra=attempt.names)
            return ActorStopped()
        return _result_of(running, attempt)

    def _start(self, attempt: Attempt, actor: Actor[BaseModel], timeout: timedelta) -> asyncio.Future[ActorResult]:
        attempt.events.add_start()
        logger.info("a task begins", extra=attempt.names)
        context = AttemptContext(attempt, timeout, asyncio.get_running_loop())
        return self._executors.start(Job(actor=actor, context=context, payload=attempt.task.payload, stop=attempt.stop))


async def _until_ended_or_stopped(running: asyncio.Future[ActorResult], attempt: Attempt, limit: timedelta) -> None:
    control_loop = asyncio.get_running_loop()
    either: asyncio.Future[None] = control_loop.create_future()
    running.add_done_callback(lambda _: _resolve(either))
    attempt.stop.on_stop(threadsafe(control_loop, partial(_resolve, either)))
    # One timer and no task for each attempt: short tasks end by the thousand in a second.
    timer = control_loop.call_later(limit.total_seconds(), attempt.stop.throw, StopReason.TIMEOUT)
    try:
        await either
    finally:
        timer.cancel()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _result_of(running: asyncio.Future[ActorResult], attempt: Attempt) -> ActorResult:
    error = running.exception()
    if error is None:
        return running.result()
    # Whatever it is, it must end this attempt, and not the lease of three.
    logger.error("an attempt ended in an error of its executor", extra=attempt.names, exc_info=error)
    return ActorFailed(kind=type(error).__name__, message=f"the worker could not run the attempt: {error}", retry=True)


async def _settle(attempt: Attempt, outcome: AttemptOutcome) -> None:
    try:
        await attempt.settle(outcome)
    except InvalidDataError as exc:
        if not isinstance(outcome, Completed):
            raise
        # Repeating cannot help: the actor would return the same again, and may be paid for again.
        message = f"the actor's result cannot be stored: {exc}"
        await attempt.settle(Failed(kind=type(exc).__name__, message=message, retry_in=None))
