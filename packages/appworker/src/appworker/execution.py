"""Runs an actor in a thread with an event loop of its own, so that whatever it does, leases are kept elsewhere."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from appworker.actors.base import Actor
from appworker.context import AttemptContext
from appworker.errors import DiscardError, TaskStoppedError
from appworker.stop import StopSwitch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The actor returned."""

    result: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The actor raised."""

    kind: str
    message: str
    retry: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The actor ended because it had to."""


Outcome = Done | Failed | Stopped


def run_in_thread(
    actor: Actor[BaseModel], context: AttemptContext, payload: dict[str, Any], stop: StopSwitch
) -> asyncio.Future[Outcome]:
    """Start *actor* in a new thread, and return a future of the caller's loop for what comes of it.

    The thread is a daemon: an actor that heeds nothing cannot keep the process alive.
    """
    home = asyncio.get_running_loop()
    outcome: asyncio.Future[Outcome] = home.create_future()

    def settle(value: Outcome) -> None:
        if not outcome.done():
            outcome.set_result(value)

    def thread() -> None:
        value = _run(actor, context, payload, stop)
        try:
            home.call_soon_threadsafe(settle, value)
        except RuntimeError:
            # The worker is gone; so is everybody who could ask.
            logger.warning("an actor ended after its worker", extra={"task_id": context.task_id})

    threading.Thread(target=thread, name=f"actor-{context.task_id}", daemon=True).start()
    return outcome


def _run(actor: Actor[BaseModel], context: AttemptContext, payload: dict[str, Any], stop: StopSwitch) -> Outcome:
    try:
        with asyncio.Runner() as runner:
            return Done(result=runner.run(_stoppable(actor, context, payload, stop)))
    except (TaskStoppedError, asyncio.CancelledError) as exc:
        if stop.reason is not None:
            return Stopped()
        return Failed(kind=type(exc).__name__, message="the actor stopped itself", retry=True)
    except DiscardError as exc:
        return Failed(kind="Discarded", message=exc.reason, retry=False)
    except ValidationError as exc:
        return Failed(kind="InvalidPayload", message=_readable(exc), retry=False)
    except BaseException as exc:  # even SystemExit: whatever an actor raises is an outcome of its task
        logger.exception("an actor failed", extra={"task_id": context.task_id, "actor": actor.name})
        return Failed(kind=type(exc).__name__, message=str(exc), retry=True)


async def _stoppable(
    actor: Actor[BaseModel], context: AttemptContext, payload: dict[str, Any], stop: StopSwitch
) -> dict[str, Any] | None:
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(actor.run(context, payload))
    stop.on_stop(_soon(loop, work.cancel))
    return await work


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> Callable[[], None]:
    def ask() -> None:
        with suppress(RuntimeError):  # the loop is closed: the actor has ended by itself
            loop.call_soon_threadsafe(call)

    return ask


def _readable(exc: ValidationError) -> str:
    problems = (f"{'.'.join(map(str, error['loc'])) or 'payload'}: {error['msg']}" for error in exc.errors())
    return "; ".join(problems)
