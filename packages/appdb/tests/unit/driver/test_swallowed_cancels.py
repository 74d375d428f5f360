"""A cancel that something swallowed is heard at the end of the call that it came in."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from appdb import AppDbError, NotFoundError
from appdb._driver._cancels import cancels_are_heard
from appdb._driver._errors import translates_errors


async def swallow(entered: asyncio.Event) -> str:
    entered.set()
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return "went on"


async def test_swallowed_cancel_ends_task() -> None:
    entered = asyncio.Event()
    running = asyncio.create_task(translates_errors(swallow)(entered))
    await entered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_earlier_cancel_does_not_disturb_cleanup() -> None:
    cleaned_up: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with cancels_are_heard():
                await asyncio.sleep(0)
            cleaned_up.append("yes")

    running = asyncio.create_task(work())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cleaned_up == ["yes"]


async def test_outer_time_limit_is_timeout_not_cancel() -> None:
    entered = asyncio.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await translates_errors(swallow)(entered)
    assert entered.is_set()


async def test_inner_time_limit_leaves_task_alone() -> None:
    with cancels_are_heard(), suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()


async def test_answers_and_errors_pass_without_cancel() -> None:
    async def refuse() -> None:
        raise NotFoundError("task", "tsk_1")

    async def answer() -> int:
        return 7

    assert await translates_errors(answer)() == 7
    with pytest.raises(AppDbError):
        await translates_errors(refuse)()
