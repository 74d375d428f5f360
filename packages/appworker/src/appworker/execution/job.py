"""The job: one attempt as executors see it, and the functions that run it in a thread or a loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from appworker.actors.base import Actor, AsyncFunction, PlainFunction
from appworker.errors import InvalidPayloadError, InvalidResultError, SuspendedError, TaskStoppedError
from appworker.execution.blocking_context import BlockingContext
from appworker.execution.executor_context import ExecutorContext
from appworker.execution.results import ActorDone, ActorFailed, ActorResult, actor_result_of
from appworker.execution.stop import StopSwitch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An actor to run once.

    Args:
        actor: What to run.
        context: The actor's context.
        payload: The task's payload, unchecked.
        stop: The switch that stops it.
    """

    actor: Actor[BaseModel]
    context: ExecutorContext
    payload: dict[str, Any]
    stop: StopSwitch


async def perform(job: Job) -> ActorResult:
    """Run an async actor in the running event loop; every error is a result."""
    try:
        function, payload = cast("AsyncFunction[BaseModel]", job.actor.function), _accepted(job)
        return payload if isinstance(payload, ActorFailed) else _done(job, await function(job.context, payload))
    except BaseException as exc:  # noqa: BLE001 - even SystemExit must not end the loop of other attempts
        return _ended_by(job, exc)


def perform_here(job: Job, context_loop: asyncio.AbstractEventLoop) -> ActorResult:
    """Run an actor of either kind in the calling thread, and return when it has ended.

    Args:
        job: The job.
        context_loop: The event loop of another thread, in which the context of a plain actor works.
    """
    try:
        if job.actor.plain:
            function, payload = cast("PlainFunction[BaseModel]", job.actor.function), _accepted(job)
            context = BlockingContext(job.context, context_loop)
            return payload if isinstance(payload, ActorFailed) else _done(job, function(context, payload))
        # An event loop of its own: the actor may block it, and nobody else is in it.
        with asyncio.Runner() as runner:
            return runner.run(_perform_until_stopped(job))
    except BaseException as exc:  # noqa: BLE001 - see above
        return _ended_by(job, exc)


def _accepted(job: Job) -> BaseModel | ActorFailed:
    # Here and not by what is raised: a model that fits badly in the actor's own code says nothing of the payload.
    try:
        return job.actor.accept(job.payload)
    except InvalidPayloadError as exc:
        return ActorFailed(kind="InvalidPayload", message=str(exc), retry=False)


def _done(job: Job, returned: object) -> ActorResult:
    try:
        return ActorDone(result=job.actor.result_of(returned))
    except InvalidResultError as exc:
        # The work is done, and may have been paid for: it would return the same again.
        logger.exception("an actor's result is none", extra={"task_id": job.context.task_id, "actor": job.actor.name})
        return ActorFailed(kind="InvalidResult", message=str(exc), retry=False)


async def _perform_until_stopped(job: Job) -> ActorResult:
    task = asyncio.current_task()
    if task is not None:
        job.stop.on_stop(threadsafe(asyncio.get_running_loop(), task.cancel))
    return await perform(job)


def threadsafe(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> Callable[[], None]:
    """Return a function for any thread that has *loop* make the *call*, if it is not closed by then."""

    def ask() -> None:
        with suppress(RuntimeError):  # the loop is closed: what the call was for has ended by itself
            loop.call_soon_threadsafe(call)

    return ask


def _ended_by(job: Job, error: BaseException) -> ActorResult:
    # A stop is no error of the actor: it would fill the log of every drain.
    if not isinstance(error, TaskStoppedError | SuspendedError | asyncio.CancelledError):
        about = {"task_id": job.context.task_id, "actor": job.actor.name}
        logger.error("an actor raised an error", extra=about, exc_info=error)
    return actor_result_of(error, job.stop.reason)
