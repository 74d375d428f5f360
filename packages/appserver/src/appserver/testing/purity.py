"""Purity: a module's decision is watched for what it must not do."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
FORBIDDEN = ("open", "os.", "socket.", "sqlite3.", "subprocess.", "urllib.", "http.", "ftplib.", "smtplib.")
"""Beginnings of audit events: files, processes and the network."""
MAX_SECONDS = 0.05
TRIES = 5
"""Of which the fastest counts: the others may have shared the processor."""

_watched: ContextVar[list[str] | None] = ContextVar("watched", default=None)
_hooked: list[bool] = []


def impurities(decide: Callable[[], object]) -> list[str]:
    """Return what *decide* does beyond deciding: other results by chance or time, input and output, too much time."""
    first = decide()
    found = []
    with _watching() as events:
        again = decide()
    if events:
        found.append(f"it reads or writes outside of its arguments: {', '.join(sorted(set(events))[:5])}")
    if not first == again == _by_chance(decide, 1) == _by_chance(decide, 2):
        found.append("it gives different effects for the same arguments; use Seen.seed and Seen.now")
    if (seconds := _fastest(decide)) > MAX_SECONDS:
        found.append(f"it takes {seconds * 1000:.0f} ms; at most {MAX_SECONDS * 1000:.0f} ms are allowed")
    return found


def _by_chance(decide: Callable[[], object], seed: int) -> object:
    state = random.getstate()
    random.seed(seed)
    try:
        return decide()
    finally:
        random.setstate(state)


def _fastest(decide: Callable[[], object]) -> float:
    fastest = float("inf")
    for _ in range(TRIES):
        began = time.process_time()
        decide()
        fastest = min(fastest, time.process_time() - began)
        if fastest <= MAX_SECONDS:
            break
    return fastest


@contextmanager
def _watching() -> Iterator[list[str]]:
    if not _hooked:
        # It stays for the life of the process, and does nothing outside of this block.
        sys.addaudithook(_note)
        _hooked.append(True)
    events: list[str] = []
    token = _watched.set(events)
    try:
        yield events
    finally:
        _watched.reset(token)


def _note(event: str, _arguments: tuple[object, ...]) -> None:
    events = _watched.get()
    if events is not None and event.startswith(FORBIDDEN):
        events.append(event)
