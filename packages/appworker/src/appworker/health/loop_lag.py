"""The lag of the control loop: a thread asks the loop for an answer over and over, and times it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

INTERVAL = timedelta(seconds=0.5)
"""The pause between an answer and the next question."""


class LoopLag:
    """
    Measures how late an event loop is, even while it is blocked; watches for the length of a ``with`` block.

    Args:
        loop: The loop to watch.

        answered: Called in the loop with the seconds that each answer took.

        interval: The pause between questions.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        answered: Callable[[float], None],
        *,
        interval: timedelta = INTERVAL,
    ) -> None:
        self._loop = loop
        self._answered = answered
        self._interval = interval
        self._asked_at: float | None = None
        self._latest = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._ask_forever, name="loop-lag", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()

    def waiting(self) -> float:
        """Return for how many seconds the loop has owed an answer; 0 when it owes none."""
        asked_at = self._asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at

    def lag(self) -> float:
        """Return how many seconds the latest answer took, or has taken so far."""
        return max(self.waiting(), self._latest)

    def _ask_forever(self) -> None:
        while not self._stopped.wait(self._interval.total_seconds()):
            # One question at a time: a blocked loop would get a heap of them to answer.
            if self._asked_at is not None:
                continue
            self._asked_at = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:
                return  # the loop is closed: the worker has ended

    def _answer(self) -> None:
        self._latest = self.waiting()
        self._asked_at = None
        self._answered(self._latest)
