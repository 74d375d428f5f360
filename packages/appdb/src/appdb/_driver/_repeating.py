"""Repeating what is safe to repeat while no primary answers: bounded, with jitter."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from appdb._driver._errors import translates_errors
from appdb.errors import DatabaseUnavailableError

P = ParamSpec("P")
T = TypeVar("T")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0


class Patient(Protocol):
    """Somebody who knows how long to repeat."""

    @property
    def patience(self) -> timedelta:
        """How long a call that found no primary is begun again."""


S = TypeVar("S", bound=Patient)


def repeats(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Translate errors, and call *method* again while no primary answers; for what the same call may do twice.

    Inside a caller's transaction (``session=`` given) it does neither: the transaction is repeated as a whole.
    """
    once = translates_errors(method)

    @functools.wraps(method)
    async def wrapper(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs.get("session") is not None:
            return await once(self, *args, **kwargs)
        return await repeated(lambda: once(self, *args, **kwargs), self.patience)

    return wrapper


async def repeated(call: Callable[[], Coroutine[Any, Any, T]], patience: timedelta) -> T:
    """Return what *call* gives, beginning it again after each ``DatabaseUnavailableError`` until *patience* is over."""
    deadline = time.monotonic() + patience.total_seconds()
    for tries in itertools.count():
        try:
            return await call()
        except DatabaseUnavailableError:
            pause = random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**tries))
            if time.monotonic() + pause >= deadline:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("the loop ends by an answer or an error")
