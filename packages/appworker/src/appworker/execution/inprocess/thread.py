"""The thread executor: runs each job in a thread of its own, where it may block."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading

from appworker.execution.job import Job, perform_here
from appworker.execution.results import ActorResult, actor_result_of

logger = logging.getLogger(__name__)


class ThreadExecutor:
    """Runs async actors in an event loop of the thread's own, plain ones directly.

    The threads are daemons: an actor that heeds nothing cannot keep the process alive.
    """

    def start(self, job: Job) -> asyncio.Future[ActorResult]:
        """Start *job*, and return a future of the caller's loop that is done when the thread is."""
        control_loop = asyncio.get_running_loop()
        result: asyncio.Future[ActorResult] = control_loop.create_future()
        # A new thread has no context variables of its own.
        context = contextvars.copy_context()

        def settle(value: ActorResult) -> None:
            if not result.done():
                result.set_result(value)

        def thread() -> None:
            try:
                value = context.run(perform_here, job, control_loop)
            except BaseException as exc:  # noqa: BLE001 - such as a lack of memory: the slot must be free all the same
                value = actor_result_of(exc, job.stop.reason)
            try:
                control_loop.call_soon_threadsafe(settle, value)
            except RuntimeError:
                # The worker is gone; so is everybody who could ask.
                logger.warning("an actor ended after its worker", extra={"task_id": job.context.task_id})

        threading.Thread(target=thread, name=f"actor-{job.context.task_id}", daemon=True).start()
        return result

    async def close(self) -> None:
        """Leave what still runs to itself."""
