"""The target of a command: its database, and the exit code and line that an error becomes."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any, TypeVar

import click

from appdb.cli.output import printable
from appdb.connection import OPERATION_TIMEOUT
from appdb.database import Database
from appdb.errors import AppDbError, DatabaseUnavailableError

T = TypeVar("T")


class ExitCode(IntEnum):
    """The exit codes of commands; click gives 2 for a wrong command line."""

    DONE = 0
    FAILED = 1
    """The task failed, or the command could not be done."""
    CANCELLED = 3
    UNKNOWN = 4
    """The database stopped answering while the command waited: how the task ended is not known."""
    INTERRUPTED = 130


class UnansweredError(click.ClickException):
    """The error of a command whose database did not answer."""


class UnknownOutcomeError(click.ClickException):
    """The error of a command that lost the database while it waited for a task."""

    exit_code = ExitCode.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The database that the command line names; called, it gives the ``Database``.

    Args:
        uri: A MongoDB connection string.
        name: The database's name.
    """

    uri: str
    name: str

    def __call__(self, *, operation_timeout: timedelta | None = OPERATION_TIMEOUT) -> Database:
        """Return the database, not yet opened."""
        return Database(self.uri, self.name, operation_timeout=operation_timeout)

    def run(self, work: Callable[[Database], Awaitable[T]], *, interrupted: str = "interrupted") -> T:
        """Open the database, and return what *work* gives.

        Args:
            work: Gets the open database.
            interrupted: What to say when the user stops the command.

        Raises:
            UnansweredError: The database did not answer.
            ClickException: It could not be done; the message is one line.
            Exit: The user stopped it.
        """

        async def opened() -> T:
            async with self() as database:
                return await work(database)

        return run(opened, interrupted=interrupted)


pass_target = click.make_pass_decorator(Target)


def run(work: Callable[[], Coroutine[Any, Any, T]], *, interrupted: str = "interrupted") -> T:
    """Run *work* in an event loop of its own; see ``Target.run``."""
    try:
        return asyncio.run(_stoppable(work))
    except DatabaseUnavailableError as exc:
        raise UnansweredError(printable(str(exc))) from exc
    except AppDbError as exc:
        raise click.ClickException(printable(str(exc))) from exc
    except (KeyboardInterrupt, asyncio.CancelledError) as exc:
        if threading.current_thread() is threading.main_thread():
            # One more Ctrl-C must not break the interpreter's exit.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        click.echo(interrupted, err=True)
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from exc


async def _stoppable(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await *work* so that Ctrl-C cancels it once, and pressing it again does not disturb how it cleans up."""
    running = asyncio.create_task(work())
    if threading.current_thread() is threading.main_thread():
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.add_signal_handler(signal.SIGINT, lambda: None)
            running.cancel()

        loop.add_signal_handler(signal.SIGINT, stop)
    return await running


def leave(code: ExitCode) -> None:
    """End the command with *code*."""
    click.get_current_context().exit(code)
