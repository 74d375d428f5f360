"""A real event loop, watched from outside while it answers and while it is blocked."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

from appworker.health.loop_lag import LoopLag

OFTEN = timedelta(milliseconds=5)


async def test_idle_loop_answers_repeatedly() -> None:
    answers: list[float] = []
    enough = asyncio.Event()

    def answered(seconds: float) -> None:
        answers.append(seconds)
        if len(answers) == 5:
            enough.set()

    async with asyncio.timeout(10):
        with LoopLag(asyncio.get_running_loop(), answered, interval=OFTEN):
            await enough.wait()

    assert all(seconds >= 0 for seconds in answers)


async def test_blocked_loop_is_seen_from_thread() -> None:
    answers: list[float] = []
    seen: list[float] = []
    with LoopLag(asyncio.get_running_loop(), answers.append, interval=OFTEN) as watch:
        looking = threading.Timer(0.4, lambda: seen.append(watch.waiting()))
        looking.start()
        time.sleep(0.6)  # noqa: ASYNC251 - the block is the point
        looking.join()
        async with asyncio.timeout(10):
            while not answers:
                await asyncio.sleep(0.01)

    assert seen[0] > 0.2
    assert answers[0] > 0.4
    assert watch.waiting() < answers[0]
