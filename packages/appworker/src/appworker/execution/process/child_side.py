"""The main module of an actor's process: a worker starts it with the descriptor of the pipe."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from functools import partial
from typing import Any

from pydantic import BaseModel

from appdb.host import handler
from appworker.actors.base import Actor
from appworker.actors.loading import load_actor
from appworker.errors import ActorLoadError
from appworker.execution.job import Job, perform_here
from appworker.execution.process.exit_codes import OUT_OF_MEMORY
from appworker.execution.process.messages import result_to_json
from appworker.execution.process.proxy_context import ProxyContext
from appworker.execution.process.resource_limits import die_with_parent, limit_cpu, limit_memory
from appworker.execution.process.worker_pipe import ActorOrder, WorkerPipe
from appworker.execution.results import ActorFailed, ActorResult
from appworker.host.forks import STOPPING, part_from_forks
from appworker.unfailing import Unfailing

_OWN_FIELDS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
MAX_LOG_CHARACTERS = 20_000


class PipeLogHandler(Unfailing):
    """Sends log records to the worker, which writes all logs.

    Args:
        pipe: Reaches the worker.
    """

    def __init__(self, pipe: WorkerPipe) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Send *record*; extras and the traceback become its fields."""
        try:
            self._pipe.post(_told(record))
        except Exception:  # noqa: BLE001 - a library's bad call must not fail the actor that uses it
            self.handleError(record)


def _told(record: logging.LogRecord) -> dict[str, Any]:
    extra = {name: _plain(value) for name, value in vars(record).items() if name not in _OWN_FIELDS}
    if record.exc_info:
        extra["exception"] = logging.Formatter().formatException(record.exc_info)[-MAX_LOG_CHARACTERS:]
    told = {"level": record.levelno, "logger": record.name, "message": record.getMessage()[:MAX_LOG_CHARACTERS]}
    return {"type": "log", "extra": extra, **told}


def _plain(value: object) -> object:
    """Return *value* if JSON has it, else a text that stands for it."""
    if value is None or isinstance(value, int | float):
        return value
    return (value if isinstance(value, str) else repr(value))[:MAX_LOG_CHARACTERS]


def main() -> int:
    """Load the actor that the worker names, and run attempts of it until the worker wants no more."""
    die_with_parent()
    connection = socket.socket(fileno=int(sys.argv[1]))
    # What an actor starts must not hold the pipe: its end is how the worker hears of this process's death.
    connection.set_inheritable(False)
    part_from_forks([connection.fileno()])
    pipe = WorkerPipe(connection)
    for number in STOPPING:
        signal.signal(number, partial(_heed, pipe))
    load = pipe.orders.get()
    if load is None:
        return 0
    root = logging.getLogger()
    root.handlers = [PipeLogHandler(pipe)]
    # Records below the worker's level would cross the pipe for nothing.
    root.setLevel(load.facts["log_level"])
    try:
        actor = _load(load.facts)
    except Exception as exc:  # noqa: BLE001 - whatever a module raises when it is imported, the worker must know
        pipe.post({"type": "refused", "kind": type(exc).__name__, "message": str(exc)[:MAX_LOG_CHARACTERS]})
        pipe.flush()
        return 1
    while (order := pipe.orders.get()) is not None:
        pipe.end_attempt(result_to_json(_run(actor, order, pipe)))
    return 0


def _heed(pipe: WorkerPipe, number: int, _frame: object) -> None:
    """End, if the worker has stopped the attempt before.

    Service managers send their signal to all processes of a service, and the worker drains: it says what ends when.
    """
    if pipe.stopping:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _load(facts: dict[str, Any]) -> Actor[BaseModel]:
    # The worker's own path: an actor that it could import is found here, too.
    sys.path[:] = facts["path"]
    source: str = facts["source"]
    actor = load_actor(source)
    found = handler(actor.name, actor.version)
    # Files may have been upgraded while the worker runs.
    if found != facts["handler"]:
        raise ActorLoadError(source, f"it is {found} now, and not {facts['handler']}; restart the worker")
    if actor.memory_limit is not None:
        limit_memory(source, actor.memory_limit)
    if actor.cpu_limit is not None:
        limit_cpu(source, actor.cpu_limit)
    return actor


def _run(actor: Actor[BaseModel], order: ActorOrder, pipe: WorkerPipe) -> ActorResult:
    if actor.cpu_limit is not None:
        limit_cpu(actor.name, actor.cpu_limit)
    context = ProxyContext(order, actor.name, pipe)
    job = Job(actor=actor, context=context, payload=order.facts["payload"], stop=order.stop)
    try:
        result = perform_here(job, pipe.loop)
        if isinstance(result, ActorFailed) and result.kind == MemoryError.__name__:
            pipe.flush()
            # Anything else needs memory, also the exit handlers of the interpreter.
            os._exit(OUT_OF_MEMORY)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    return result


if __name__ == "__main__":
    sys.exit(main())
