"""The stop switch: tells every thread of an attempt that it must end, and why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

STOP_GRACE = timedelta(seconds=3)
"""How long an actor may take to end once it must."""


class StopReason(StrEnum):
    """The reason for which an attempt must end before its actor is done."""

    LEASE_LOST = "it was cancelled, or its lease is lost"
    TIMEOUT = "it is out of time"
    DRAIN = "this worker host is stopping"
    REFUSED = "the database refuses its events"


class StopSwitch:
    """A switch that is thrown once, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: StopReason | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def reason(self) -> StopReason | None:
        """Why the attempt must end, or ``None`` while it may go on."""
        return self._reason

    def throw(self, reason: StopReason) -> None:
        """Stop the attempt. The first reason counts, but a lost lease outranks all: nothing can be written any more."""
        with self._lock:
            first = self._reason is None
            if first or reason is StopReason.LEASE_LOST:
                self._reason = reason
            listeners = self._listeners if first else []
        # Outside of the lock: a listener may throw or ask the same switch.
        for listener in listeners:
            listener()

    def on_stop(self, listener: Callable[[], None]) -> None:
        """Call *listener* when the attempt must end, in the thread that throws the switch; at once if it is thrown."""
        with self._lock:
            if self._reason is None:
                self._listeners.append(listener)
                return
        listener()
