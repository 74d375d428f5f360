"""Retries of calls that are safe to repeat, while no primary answers: bounded in time, with jittered pauses."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from appdb._driver._errors import translates_errors
from appdb.errors import DatabaseUnavailableError, NotFoundError

P = ParamSpec("P")
T = TypeVar("T")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0

_IS_RETRIED: ContextVar[bool] = ContextVar("_IS_RETRIED", default=False)
"""Whether a caller further up retries already: two who do would take twice the retry timeout."""


class HasRetryTimeout(Protocol):
    """An object that knows its retry timeout."""

    @property
    def retry_timeout(self) -> timedelta:
        """How long a call that found no primary is retried."""


S = TypeVar("S", bound=HasRetryTimeout)


def retried(
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
        return await retry(lambda: once(self, *args, **kwargs), self.retry_timeout)

    return wrapper


def retried_deletion(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, None]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, None]]:
    """Do as ``retried`` does, for a deletion that says whether there was something to delete.

    What a later try does not find any more may have been deleted by an earlier one without an answer: it is gone.
    """
    once = translates_errors(method)

    @functools.wraps(method)
    async def wrapper(self: S, /, *args: P.args, **kwargs: P.kwargs) -> None:
        earlier = itertools.count()

        async def delete() -> None:
            is_first = next(earlier) == 0
            try:
                await once(self, *args, **kwargs)
            except NotFoundError:
                if is_first:
                    raise

        if kwargs.get("session") is not None:
            return await once(self, *args, **kwargs)
        return await retry(delete, self.retry_timeout)

    return wrapper


async def retry(call: Callable[[], Coroutine[Any, Any, T]], retry_timeout: timedelta) -> T:
    """Return what *call* gives, calling it again after each ``DatabaseUnavailableError`` for *retry_timeout*."""
    if _IS_RETRIED.get():
        return await call()
    token = _IS_RETRIED.set(True)
    try:
        return await _until_answered(call, time.monotonic() + retry_timeout.total_seconds())
    finally:
        _IS_RETRIED.reset(token)


async def _until_answered(call: Callable[[], Coroutine[Any, Any, T]], deadline: float) -> T:
    for tries in itertools.count():
        try:
            return await call()
        except DatabaseUnavailableError:
            pause = random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**tries))
            if time.monotonic() + pause >= deadline:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("the loop ends by an answer or an error")
