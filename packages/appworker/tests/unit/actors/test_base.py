"""The actor decorator: what it makes of a function, and what it refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from appdb import Limit
from appworker import ActorContext, RetryPolicy, SyncContext, actor


class Empty(BaseModel):
    pass


async def waits(_context: ActorContext, _payload: Empty) -> None: ...


def blocks(_context: SyncContext, _payload: Empty) -> None: ...


def test_async_function_shares_loop_plain_gets_thread() -> None:
    assert (actor("a")(waits).isolation, actor("a")(waits).plain) == ("task", False)
    assert (actor("a")(blocks).isolation, actor("a")(blocks).plain) == ("thread", True)


def test_actors_declaration_is_kept() -> None:
    limits = (Limit(key="provider:x", concurrency=2),)
    retry = RetryPolicy(max_attempts=7)
    made = actor(
        "a",
        retry=retry,
        limits=limits,
        isolation="process",
        memory_limit=1_000_000,
        cpu_limit=timedelta(seconds=3),
    )(blocks)

    assert (made.retry, made.limits, made.isolation) == (retry, limits, "process")
    assert (made.memory_limit, made.cpu_limit) == (1_000_000, timedelta(seconds=3))


@pytest.mark.parametrize(
    ("function", "arguments", "problem"),
    [
        (blocks, {"isolation": "task"}, "write 'async def', or isolation='thread' or 'process'"),
        (waits, {"isolation": "fork"}, "write one of 'task', 'thread', 'process'"),
    ],
)
def test_isolation_unfit_for_function_is_refused(function: Any, arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(TypeError, match=problem) as caught:
        actor("greet", **arguments)(function)

    assert "actor 'greet'" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"memory_limit": 1}, "need isolation='process'"),
        ({"isolation": "thread", "cpu_limit": timedelta(seconds=1)}, "need isolation='process'"),
        ({"isolation": "process", "memory_limit": 0}, "memory_limit must be"),
        ({"isolation": "process", "cpu_limit": timedelta(0)}, "cpu_limit must be positive"),
        ({"timeout": timedelta(0)}, "timeout must be positive"),
        ({"timeout": timedelta.max}, "at most 36525 days"),
        ({"version": 0}, "a version of at least 1"),
    ],
)
def test_senseless_number_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        actor("greet", **arguments)(waits)

    assert "actor 'greet'" in str(caught.value)


def test_plain_function_with_async_context_is_refused() -> None:
    def wrong(context: ActorContext, payload: Empty) -> None: ...

    with pytest.raises(TypeError, match=r"annotate it as \(context: SyncContext, .*, since it is a plain function"):
        actor("wrong")(wrong)  # type: ignore[arg-type]


def test_async_function_with_blocking_context_is_refused() -> None:
    async def wrong(context: SyncContext, payload: Empty) -> None: ...

    with pytest.raises(TypeError, match=r"annotate it as \(context: ActorContext, .*, since it is an async function"):
        actor("wrong")(wrong)  # type: ignore[arg-type]
