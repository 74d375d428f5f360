"""Computing: what a call costs by itself, whatever else the process and the machine do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
TRIES = 3
"""A collection of garbage falls into one of them, and the first one fills caches."""


def least_seconds(call: Callable[[], T]) -> tuple[T, float]:
    """Return what *call* gives, and the least that it computed for it, in seconds, of three tries."""
    took = []
    for _ in range(TRIES):
        began = time.process_time()
        given = call()
        took.append(time.process_time() - began)
    return given, min(took)
