"""The process executor: runs each job in a process of its own, which can be killed."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from datetime import timedelta

from appworker.errors import ActorLoadError
from appworker.execution.job import Job
from appworker.execution.process.parent_side import TERM_GRACE, ActorProcess
from appworker.execution.results import ActorDone, ActorFailed, ActorResult, ActorSuspended, actor_result_of
from appworker.execution.stop import STOP_GRACE

logger = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
"""How long a process waits for the next attempt before it is let go."""
KILLED_WITHIN = STOP_GRACE + TERM_GRACE + timedelta(seconds=1)
"""How long after a stop the process is gone at the latest."""


class ProcessExecutor:
    """Keeps the processes of each actor, and runs one job in a process at a time.

    A process is used again after a good end, since to start one costs about a second. A process whose job failed or
    was stopped is never used again.
    """

    def __init__(self) -> None:
        self._idle: defaultdict[str, list[ActorProcess]] = defaultdict(list)
        self._letting_go: set[asyncio.Task[None]] = set()

    def start(self, job: Job) -> asyncio.Future[ActorResult]:
        """Start *job*, and return a future of the caller's loop; when it is done, so is the attempt's process."""
        return asyncio.get_running_loop().create_task(self._run(job))

    async def close(self) -> None:
        """End the processes that wait for an attempt."""
        for idle in self._idle.values():
            while idle:
                self._let_go(idle.pop())
        await asyncio.gather(*self._letting_go)

    async def _run(self, job: Job) -> ActorResult:
        if not job.actor.source:
            error = ActorLoadError(job.actor.name, "isolation='process' needs a name that a process can load it by")
            return actor_result_of(error, job.stop.reason)
        try:
            process = self._waiting(job.actor.source) or await ActorProcess.start(job.actor)
        except OSError as exc:
            logger.exception("an actor's process cannot be started", extra={"actor": job.actor.name})
            return ActorFailed(kind="ProcessNotStarted", message=f"the host cannot start a process: {exc}", retry=True)
        result: ActorResult | None = None
        try:
            result = await process.run(job)
            return result
        finally:
            # What a failed or stopped actor leaves behind in its process is not known.
            if isinstance(result, ActorDone | ActorSuspended) and job.stop.reason is None:
                self._keep(process)
            else:
                await process.end()

    def _waiting(self, source: str) -> ActorProcess | None:
        idle = self._idle[source]
        while idle:
            process = idle.pop()
            if process.alive:
                return process
            self._let_go(process)
        return None

    def _keep(self, process: ActorProcess) -> None:
        self._idle[process.actor.source].append(process)
        # The count tells a process that was used again meanwhile.
        asyncio.get_running_loop().call_later(IDLE_SECONDS, self._expire, process, process.attempts)

    def _expire(self, process: ActorProcess, attempts: int) -> None:
        idle = self._idle[process.actor.source]
        if process in idle and process.attempts == attempts:
            idle.remove(process)
            self._let_go(process)

    def _let_go(self, process: ActorProcess) -> None:
        ending = asyncio.get_running_loop().create_task(process.end())
        self._letting_go.add(ending)
        ending.add_done_callback(self._letting_go.discard)
